"""What every `Bus` promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from runtime import channels
from runtime.errors import LeaseLost
from runtime.ports import Bus
from tests.conftest import BusFactory

KEPT = 10_000


async def take(messages: AsyncIterator[tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    return [await asyncio.wait_for(anext(messages), 5) for _ in range(count)]


async def test_a_subscriber_hears_its_channels_in_order_from_the_moment_it_entered(bus: Bus) -> None:
    async with bus.subscribe("prices") as earlier:
        await bus.publish("prices", b"too early")
        assert await take(aiter(earlier), 1) == [("prices", b"too early")]
    async with bus.subscribe("prices", "chains") as subscription:
        await bus.publish("prices", b"1")
        await bus.publish("elsewhere", b"x")
        await bus.publish("chains", b"2")
        await bus.publish("prices", b"3")

        assert await take(aiter(subscription), 3) == [("prices", b"1"), ("chains", b"2"), ("prices", b"3")]


async def test_every_subscriber_of_a_channel_hears_each_message(buses: BusFactory) -> None:
    async with buses().subscribe("prices") as first, buses().subscribe("prices") as second:
        await buses().publish("prices", b"1")

        assert await take(aiter(first), 1) == await take(aiter(second), 1) == [("prices", b"1")]


async def test_a_stream_is_read_in_order_from_any_id(bus: Bus) -> None:
    ids = [await bus.append("s", payload, max_length=KEPT) for payload in (b"a", b"b", b"c")]

    assert await bus.read("s", "0") == list(zip(ids, (b"a", b"b", b"c"), strict=True))
    assert await bus.read("s", "0", count=2) == [(ids[0], b"a"), (ids[1], b"b")]
    assert await bus.read("s", ids[1]) == [(ids[2], b"c")]
    assert await bus.read("s", ids[2]) == []
    assert await bus.last_id("s") == ids[2]


async def test_an_empty_stream_has_id_zero_and_a_read_of_it_waits_no_longer_than_asked(bus: Bus) -> None:
    assert await bus.last_id("nothing") == "0"
    assert await bus.read("nothing", "0") == []
    assert await bus.read("nothing", "0", block_seconds=0.05) == []


async def test_a_waiting_reader_gets_the_next_entry_and_dollar_means_only_new_ones(buses: BusFactory) -> None:
    bus = buses()
    await bus.append("s", b"old", max_length=KEPT)
    reading = asyncio.create_task(bus.read("s", "$", block_seconds=30))
    ids: list[str] = []
    while not reading.done():
        ids.append(await buses().append("s", b"new", max_length=KEPT))
        await asyncio.wait([reading], timeout=0.05)

    entries = await reading
    assert entries[0][0] in ids
    assert {payload for _, payload in entries} == {b"new"}


async def test_a_stream_keeps_about_as_many_entries_as_asked_and_always_the_newest(bus: Bus) -> None:
    for number in range(1000):
        await bus.append("s", b"%d" % number, max_length=100)

    kept = [int(payload) for _, payload in await bus.read("s", "0", count=KEPT)]
    assert 100 <= len(kept) <= 300  # approximate: Redis trims whole nodes of 100 entries
    assert kept == list(range(1000 - len(kept), 1000))


async def test_a_group_starts_at_the_beginning_and_hands_each_entry_out_once(buses: BusFactory) -> None:
    bus = buses()
    for payload in (b"a", b"b", b"c"):
        await bus.append("commands", payload, max_length=KEPT)
    await bus.create_group("commands", "supervisor")
    await bus.create_group("commands", "supervisor")

    first = await bus.read_group("commands", "supervisor", "one", count=2)
    second = await buses().read_group("commands", "supervisor", "two")
    assert [payload for _, payload in first] == [b"a", b"b"]
    assert [payload for _, payload in second] == [b"c"]
    assert await bus.read_group("commands", "supervisor", "one") == []


async def test_a_restarted_consumer_gets_what_it_had_not_acknowledged_once_and_then_the_new(buses: BusFactory) -> None:
    bus = buses()
    await bus.create_group("commands", "supervisor")
    ids = [await bus.append("commands", payload, max_length=KEPT) for payload in (b"a", b"b", b"c")]
    await bus.read_group("commands", "supervisor", "one")
    await bus.acknowledge("commands", "supervisor", ids[1])

    restarted = buses()
    assert await restarted.read_group("commands", "supervisor", "one") == [(ids[0], b"a"), (ids[2], b"c")]
    new = await bus.append("commands", b"d", max_length=KEPT)
    assert await restarted.read_group("commands", "supervisor", "one") == [(new, b"d")]


async def test_what_a_dead_consumer_held_for_long_goes_to_another_once(buses: BusFactory) -> None:
    bus = buses()
    await bus.create_group("commands", "supervisor")
    entry = await bus.append("commands", b"a", max_length=KEPT)
    await bus.read_group("commands", "supervisor", "dead")

    heir = buses()
    assert await heir.read_group("commands", "supervisor", "heir", block_seconds=5) == [(entry, b"a")]
    assert await heir.read_group("commands", "supervisor", "heir", block_seconds=1) == []


async def test_what_is_acknowledged_is_never_handed_out_again_and_gone(buses: BusFactory) -> None:
    bus = buses()
    await bus.create_group("commands", "supervisor")
    entries = [await bus.append("commands", payload, max_length=KEPT) for payload in (b"a", b"b", b"c")]
    await bus.read_group("commands", "supervisor", "one")
    await bus.acknowledge("commands", "supervisor", entries[1])
    assert await bus.read("commands", "0") == [(entries[0], b"a"), (entries[2], b"c")]
    await bus.acknowledge("commands", "supervisor", *entries)

    assert await buses().read_group("commands", "supervisor", "one") == []
    assert await buses().read_group("commands", "supervisor", "two", block_seconds=1) == []
    assert await bus.read("commands", "0") == []


async def test_keys_and_fields_keep_their_bytes(bus: Bus) -> None:
    assert await bus.get_key("k") is None
    assert await bus.get_fields("h") == {}
    await bus.set_key("k", b"\x00\xff")
    await bus.set_fields("h", {"NSE:BANKNIFTY": b"1", "BTC/USDT": b"0"})
    await bus.set_fields("h", {"BTC/USDT": b"2"})
    await bus.set_fields("h", {"gone": b"3"})
    await bus.delete_field("h", "gone")
    await bus.delete_field("h", "never there")
    await bus.set_fields("h", {})

    assert await bus.get_key("k") == b"\x00\xff"
    assert await bus.get_fields("h") == {"NSE:BANKNIFTY": b"1", "BTC/USDT": b"2"}
    await bus.delete_key("k")
    await bus.delete_key("h")
    assert await bus.get_key("k") is None
    assert await bus.get_fields("h") == {}


async def test_events_reach_the_stream_the_operators_and_their_user_alone(bus: Bus) -> None:
    async with bus.subscribe(channels.EVENTS) as everybody, bus.subscribe(channels.user_events("u1")) as one:
        await bus.publish_events([("u1", 1, "u1-1"), ("u2", 1, "u2-1"), ("u1", 2, "u1-2")])

        assert [payload for _, payload in await take(aiter(everybody), 3)] == [b"u1-1", b"u2-1", b"u1-2"]
        assert [payload for _, payload in await take(aiter(one), 2)] == [b"u1-1", b"u1-2"]
    assert [payload for _, payload in await bus.read(channels.EVENTS_STREAM, "0")] == [b"u1-1", b"u2-1", b"u1-2"]


async def test_an_event_published_again_is_published_once(buses: BusFactory) -> None:
    bus = buses()
    assert await bus.published_seqs(["u1"]) == {"u1": 0}
    await bus.publish_events([("u1", 1, "1"), ("u1", 2, "2")])
    await buses().publish_events([("u1", 2, "2"), ("u1", 3, "3"), ("u1", 3, "3"), ("u2", 1, "1")])

    assert [payload for _, payload in await bus.read(channels.EVENTS_STREAM, "0")] == [b"1", b"2", b"3", b"1"]
    assert await bus.published_seqs(["u1", "nobody", "u2"]) == {"u1": 3, "nobody": 0, "u2": 1}
    assert await bus.published_seqs([]) == {}


async def test_more_events_than_one_call_carries_arrive_in_order(bus: Bus) -> None:
    await bus.publish_events([(f"u{number % 7}", number + 1, str(number)) for number in range(1_234)])

    published = await bus.read(channels.EVENTS_STREAM, "0", count=2_000)
    assert [int(payload) for _, payload in published] == list(range(1_234))


async def test_traffic_survives_a_server_killed_in_its_middle(redis_buses: BusFactory, kill: Callable[[str], None]) -> None:
    writer, reader = redis_buses(), redis_buses()
    sent = [b"%d" % number for number in range(300)]
    received: list[bytes] = []
    await reader.create_group("commands", "supervisor")

    async def write() -> None:
        for number, payload in enumerate(sent):
            await writer.append("commands", payload, max_length=KEPT)
            await writer.publish_events([("u1", number + 1, payload.decode())])
            if number in (100, 200):
                kill("valkey-server")

    async def consume() -> None:
        while sent[-1] not in received:
            for entry_id, payload in await reader.read_group("commands", "supervisor", "one", count=7, block_seconds=1):
                received.append(payload)
                await reader.acknowledge("commands", "supervisor", entry_id)

    await asyncio.wait_for(asyncio.gather(write(), consume()), 30)

    assert sorted(set(received), key=int) == sent  # a write repeated after a lost answer may be there twice, never not at all
    assert [payload for _, payload in await reader.read(channels.EVENTS_STREAM, "0")] == sent


async def test_a_subscription_hears_again_after_its_server_was_killed(redis_buses: BusFactory, kill: Callable[[str], None]) -> None:
    bus = redis_buses()
    async with bus.subscribe("prices") as subscription:
        messages = aiter(subscription)
        await bus.publish("prices", b"before")
        assert await take(messages, 1) == [("prices", b"before")]

        kill("valkey-server")
        heard = asyncio.ensure_future(anext(messages))
        while not heard.done():
            await bus.publish("prices", b"after")
            await asyncio.wait([heard], timeout=0.05)
        assert await heard == ("prices", b"after")


async def test_a_lease_has_one_holder_and_each_change_of_hands_a_greater_token(buses: BusFactory) -> None:
    first, second = buses(), buses()
    token = await first.take_lease("l", "one", 30)
    assert token is not None

    assert await second.take_lease("l", "two", 30) is None
    assert await first.take_lease("l", "one", 30) == token  # renewed
    taken = await second.take_lease("l", "two", 30, by_force=True)
    assert taken is not None
    assert taken > token
    assert await first.take_lease("l", "one", 30) is None
    assert await first.take_lease("another", "one", 30) is not None
    await first.release_lease("l", "one")  # it is not the holder any more
    assert await first.take_lease("l", "one", 30) is None
    await second.release_lease("l", "two")
    given_back = await first.take_lease("l", "one", 30)
    assert given_back is not None
    assert given_back > taken


async def test_a_lease_that_is_not_renewed_falls_to_whoever_asks_next(buses: BusFactory) -> None:
    first, second = buses(), buses()
    token = await first.take_lease("l", "one", 0.05)
    taken: int | None = None
    while taken is None:
        taken = await second.take_lease("l", "two", 30)
    assert token is not None
    assert taken > token


async def test_what_is_said_under_a_lease_is_refused_once_another_has_taken_it(buses: BusFactory) -> None:
    first, second = buses(), buses()
    stale = await first.take_lease("l", "one", 30)
    assert stale is not None
    entry = await first.append_under("l", stale, "s", b"1", once="1", max_length=KEPT)
    fresh = await second.take_lease("l", "two", 30, by_force=True)
    assert fresh is not None

    with pytest.raises(LeaseLost, match="'l'"):
        await first.append_under("l", stale, "s", b"2", once="2", max_length=KEPT)
    later = await second.append_under("l", fresh, "s", b"3", once="3", max_length=KEPT)
    assert await second.append_under("l", fresh, "s", b"1", once="1", max_length=KEPT) == entry  # said before, by another
    assert await first.read("s", "0") == [(entry, b"1"), (later, b"3")]


async def test_an_expired_lease_that_nobody_took_still_speaks(buses: BusFactory) -> None:
    bus = buses()
    token = await bus.take_lease("l", "one", 0.001)
    assert token is not None
    await asyncio.sleep(0)
    assert await bus.append_under("l", token, "s", b"1", once="1", max_length=KEPT)
