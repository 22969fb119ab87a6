"""A host that is cut off from its servers while its cluster, which takes it for dead, starts it on another machine.

When the network is whole again, or already while it is not, the first one can neither write nor send with its old epoch.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.embedded.process import ServerProcess
from runtime.events import EventType
from runtime.orders import Leg
from tests.faults.away_stage import HIGH, LOW, AwayStage, HostProcess
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.slow  # each boots servers of its own


class Network(NamedTuple):
    """Between the first host and its servers."""

    stage: AwayStage
    redis: Proxy
    mongodb: Proxy


@pytest.fixture
async def network(tmp_path: Path, valkey: ServerProcess, mongod: ServerProcess) -> AsyncIterator[Network]:
    async with Proxy(valkey.url) as redis, Proxy(mongod.url) as mongodb:
        stage = AwayStage(tmp_path, valkey=valkey, mongod=mongod, redis_url=redis.url, mongodb_url=mongodb.url)
        await stage.begin()
        yield Network(stage, redis, mongodb)
        await stage.close()


async def taken_over(stage: AwayStage) -> HostProcess:
    successor = stage.start_elsewhere()
    await stage.hears(EventType.SESSION_RECOVERED)
    return successor


async def ends_fenced(stage: AwayStage) -> None:
    async def ended() -> bool:
        await stage.price(HIGH)
        return stage.host.has_ended

    await stage.until(ended, "the end of the host that was cut off")
    assert any("Fenced" in line for line in stage.host.told)


async def test_a_host_that_was_cut_off_from_everything_sends_nothing_when_the_network_is_whole_again(network: Network) -> None:
    stage, redis, mongodb = network
    redis.hold()
    mongodb.hold()
    successor = await taken_over(stage)
    await stage.price(LOW)
    await stage.hears(EventType.POSITION_CLOSED, exit_reason="SL")

    redis.open()  # what was held arrives: the price that touched the stop among it
    mongodb.open()
    await ends_fenced(stage)
    assert [len(successor.sent(Leg.EXIT)), len(stage.host.sent(Leg.EXIT))] == [1, 0]
    assert stage.host.logs() == []
    await stage.books_agree()


@pytest.mark.parametrize("how", ["hold", "cut"])
async def test_a_host_that_cannot_reach_the_store_learns_from_redis_that_its_user_lives_elsewhere(network: Network, how: str) -> None:
    """Both see the price that touches the stop, and the first one cannot ask the journal."""
    stage, _, mongodb = network
    getattr(mongodb, how)()
    successor = await taken_over(stage)
    await stage.price(LOW)
    await stage.hears(EventType.POSITION_CLOSED, exit_reason="SL")

    async def let_go() -> bool:
        return any("was taken over by a newer incarnation" in line for line in stage.host.told)

    await stage.until(let_go, "the host that was cut off letting go")
    assert [len(successor.sent(Leg.EXIT)), len(stage.host.sent(Leg.EXIT))] == [1, 0]
    mongodb.open()
    await ends_fenced(stage)
    assert stage.host.logs() == []
    await stage.books_agree()
