from __future__ import annotations

import json

import pytest

from adapters.embedded import EmbeddedServers
from adapters.redis_bus import RedisBus
from adapters.redis_bus.entries import payload
from runtime import channels
from runtime.errors import ServerUnavailable
from tests.conftest import BusFactory

JSON = b'{"action":"GET_STATUS","user_id":"1"}'


@pytest.mark.parametrize("field", [b"m", b"command", b"data", b"payload", b"event", b"anything"])
def test_a_foreign_program_may_name_its_one_field_as_it_likes(field: bytes) -> None:
    assert payload({field: JSON}) == JSON


def test_of_several_fields_the_known_one_counts() -> None:
    assert payload({b"source": b"api", b"command": JSON}) == JSON
    assert payload({b"first": b"1", b"second": b"2"}) == b"1"


def test_a_command_may_be_spread_over_fields() -> None:
    fields = {b"action": b"START_TRADING", b"user_id": b"7", b"command_id": b"c", b"data": b'{"capital": 1}'}
    assert json.loads(payload(fields)) == {"action": "START_TRADING", "user_id": "7", "command_id": "c", "data": {"capital": 1}}


@pytest.mark.parametrize("data", [b"no json", b"\xff", b""])
def test_data_that_is_no_json_is_passed_on_as_text_for_validation_to_name(data: bytes) -> None:
    assert json.loads(payload({b"action": b"X", b"data": data}))["data"] == data.decode(errors="replace")


async def test_commands_written_by_a_plain_redis_client_are_read(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    assert isinstance(bus, RedisBus)
    stream = bus._prefix + channels.COMMANDS_STREAM
    await bus._connection.run("XADD", stream, "*", "command", JSON)
    await bus._connection.run("XADD", stream, "*", "action", "GET_STATUS", "user_id", "1")

    read = [json.loads(found) for _, found in await bus.read(channels.COMMANDS_STREAM, "0")]
    assert read == [json.loads(JSON)] * 2


async def test_entries_trimmed_before_they_were_acknowledged_are_passed_over(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    assert isinstance(bus, RedisBus)
    await bus.create_group("s", "g")
    ids = [await bus.append("s", b"%d" % number, max_length=100) for number in range(3)]
    await bus.read_group("s", "g", "one")
    await bus._connection.run("XDEL", bus._prefix + "s", ids[0])

    restarted = redis_buses()
    assert await restarted.read_group("s", "g", "one") == [(ids[1], b"1"), (ids[2], b"2")]


async def test_a_group_that_vanished_with_the_servers_data_is_made_again(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    await bus.create_group("s", "g")
    await bus.delete_key("s")
    entry = await bus.append("s", b"1", max_length=100)
    while not (found := await bus.read_group("s", "g", "one", block_seconds=1)):
        pass
    assert found == [(entry, b"1")]


async def test_a_server_that_stays_away_is_reported_within_the_bound() -> None:
    bus = RedisBus("redis://127.0.0.1:1/0", patience_seconds=0.1)
    with pytest.raises(ServerUnavailable, match=r"did not answer for 0\.1 s"):
        await bus.get_key("k")
    with pytest.raises(ServerUnavailable):
        await bus.read_group("s", "g", "one", block_seconds=1)
    with pytest.raises(ServerUnavailable):
        async with bus.subscribe("c"):
            pass
    with pytest.raises(ServerUnavailable):
        await bus.publish_events([("u", 1, "{}")])
    await bus.close()


async def test_a_wrong_password_is_reported_at_once(servers: EmbeddedServers) -> None:
    address = servers.urls.redis.rpartition("@")[2]
    bus = RedisBus(f"redis://:wrong@{address}")
    with pytest.raises(ServerUnavailable, match="REDIS_URL") as refused:
        await bus.get_key("k")
    assert "wrong@" not in str(refused.value)
    await bus.close()


async def test_a_refused_command_is_reported_at_once(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    await bus.set_key("k", b"text")
    with pytest.raises(ServerUnavailable, match="WRONGTYPE"):
        await bus.set_fields("k", {"f": b"v"})
