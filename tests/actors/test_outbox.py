"""Events on their way out: in order, and out of the journal where they found no room."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from actors import outbox as outbox_module
from runtime import channels
from runtime.events import PublicEvent, SignalArrived
from tests.actors.floors import Crowd
from tests.builders import at, signal

USERS = [f"u{number}" for number in range(30)]
_decode_event = msgspec.json.Decoder(PublicEvent).decode


async def said(crowd: Crowd) -> dict[str, list[int]]:
    seqs: dict[str, list[int]] = {}
    for _, payload in await crowd.bus.read(channels.EVENTS_STREAM, "0", count=100_000):
        event = _decode_event(payload)
        seqs.setdefault(event.user_id, []).append(event.seq)
    return seqs


@pytest.mark.parametrize("room", [1, 7, 50, 100_000])
async def test_what_finds_no_room_is_read_from_the_journal_and_nothing_is_missing_or_out_of_order(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "WAITING_MAX", room)
    crowd = Crowd(USERS)
    await crowd.start()
    publishing = asyncio.create_task(crowd.outbox.run())
    await crowd.floor.run([(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in USERS])
    await crowd.outbox.drained()
    publishing.cancel()

    assert await said(crowd) == {user: list(range(1, 8)) for user in USERS}
    orders = await crowd.store.find("orders", {"status": "FILLED"})
    positions = await crowd.store.find("positions", {"status": "OPEN"})
    taken = await crowd.store.find("execution_logs", {"decision": "ENTER"})
    assert [len(found) for found in (orders, positions, taken, await crowd.store.find("trades", {}))] == [len(USERS)] * 4
    assert {session["projected_seq"] for session in await crowd.store.find("sessions", {})} == {7}


async def test_one_user_is_got_out_at_once_while_the_others_wait_and_nothing_is_said_twice() -> None:
    crowd = Crowd(USERS)
    await crowd.start()
    await crowd.floor.run([(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in USERS])
    await crowd.outbox.flush("u17")

    assert await said(crowd) == {"u17": list(range(1, 8))}
    assert [order["user_id"] for order in await crowd.store.find("orders", {"status": "FILLED"})] == ["u17"]
    assert await crowd.store.find("sessions", {}) == [{"_id": "u17", "projected_seq": 7}]
    await crowd.store.delete("execution_logs", f"u17:{signal().signal_id}")  # would come back if it were projected again
    publishing = asyncio.create_task(crowd.outbox.run())
    await crowd.outbox.drained()
    publishing.cancel()
    assert await said(crowd) == {user: list(range(1, 8)) for user in USERS}
    assert len(await crowd.store.find("execution_logs", {})) == len(USERS) - 1
    assert len(await crowd.store.find("orders", {"status": "FILLED"})) == len(USERS)


async def test_a_user_of_whom_nothing_waits_is_out_already() -> None:
    crowd = Crowd(USERS)
    await crowd.start()
    publishing = asyncio.create_task(crowd.outbox.run())
    await crowd.outbox.drained()
    publishing.cancel()
    before = await crowd.bus.last_id(channels.EVENTS_STREAM)
    await crowd.outbox.flush("u3")
    assert await crowd.bus.last_id(channels.EVENTS_STREAM) == before


async def test_the_time_of_each_order_and_each_fill_is_told_in_one_message_of_its_kind() -> None:
    from actors.turned import Stopwatch
    from actors.wire import decode_latency

    crowd = Crowd(USERS)
    await crowd.start()
    publishing = asyncio.create_task(crowd.outbox.run())
    inputs = [(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in USERS]
    await crowd.floor.run(inputs, Stopwatch(candle_closed_at_ns=1))
    await crowd.outbox.drained()
    publishing.cancel()

    messages = [decode_latency(payload) for _, payload in await crowd.bus.read(channels.LATENCY, "0")]
    assert {message.kind: len(message.milliseconds) for message in messages} == {"signal_to_order": 30, "signal_to_fill": 30}
