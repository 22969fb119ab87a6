from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from adapters.redis_bus import RedisBus
from adapters.redis_bus.connection import Connection
from adapters.redis_bus.publisher import Publisher
from runtime.errors import ServerUnavailable
from tests.conftest import BusFactory
from tests.contracts.test_bus import take

NOWHERE = "redis://127.0.0.1:1/0"


async def test_a_burst_arrives_whole_and_in_order(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    async with bus.subscribe("prices") as subscription:
        for number in range(2_000):
            await bus.publish("prices", b"%d" % number)

        assert [int(payload) for _, payload in await take(aiter(subscription), 2_000)] == list(range(2_000))


async def test_who_closes_the_bus_has_sent_what_it_published(redis_buses: BusFactory) -> None:
    async with redis_buses().subscribe("prices") as subscription:
        bus = redis_buses()
        await bus.publish("prices", b"last words")
        await bus.close()

        assert await take(aiter(subscription), 1) == [("prices", b"last words")]


async def test_lost_messages_are_reported_once_by_the_next_call() -> None:
    bus = RedisBus(NOWHERE, patience_seconds=0.05)
    await bus.publish("prices", b"1")
    with pytest.raises(ServerUnavailable, match=r"did not answer for 0\.05 s"):
        await bus.close()

    connection = Connection(NOWHERE, patience_seconds=0.05)
    publisher = Publisher(connection, waiting_max=1)
    await publisher.publish("prices", b"1")
    await asyncio.wait_for(publisher.publish("prices", b"2"), 5)  # one more may wait
    with pytest.raises(ServerUnavailable):
        await asyncio.wait_for(publisher.publish("prices", b"3"), 5)  # waits for room, and hears of the loss
    await publisher.flush()
    await connection.close()


async def test_what_is_published_while_the_server_restarts_arrives(redis_buses: BusFactory, kill: Callable[[str], None]) -> None:
    bus = redis_buses()
    async with bus.subscribe("prices") as subscription:
        await bus.publish("prices", b"0")
        messages = aiter(subscription)
        await take(messages, 1)
        kill("valkey-server")
        heard = asyncio.ensure_future(anext(messages))
        number = 0
        while not heard.done():
            number += 1
            await bus.publish("prices", b"%d" % number)
            await asyncio.wait([heard], timeout=0.02)

        received = [int((await heard)[1])]
        await bus.publish("prices", b"%d" % (number + 1))
        while received[-1] != number + 1:
            received.append(int((await asyncio.wait_for(anext(messages), 5))[1]))
        assert received == sorted(received)
