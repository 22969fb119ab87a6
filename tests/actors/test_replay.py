"""A journal played again: equal byte for byte, or the first difference by record and field."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import msgspec
import pytest

from actors.local_system import LocalSystem
from actors.replay import replay_user
from actors.user_trader import fold
from actors.virtual_time import VirtualClock, run_virtual
from adapters.memory import MemoryJournal
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.errors import InvalidInput
from runtime.events import JournalRecord
from runtime.market import IST
from runtime.state import encode_state

SESSION = date(2026, 11, 20)
Lived = tuple[list[JournalRecord], int, bytes]


@pytest.fixture(scope="module")
def lived() -> Lived:
    """A user's whole day: the records, and the live state at the end with the number of the last one."""

    async def play() -> Lived:
        market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), ticks_per_second=1, seconds_per_tick=4))
        async with LocalSystem(market, VirtualClock(datetime.combine(SESSION, time(9, 14), IST))) as system:
            await system.send("START_TRADING", "u")
            await system.settle()
            await system.play()
            (trader,) = [host.floor.traders["u"] for host in system.placer.hosts.values() if "u" in host.floor.traders]
            return [record async for record in system.journal.read("u")], trader.number, trader.snapshot()

    return run_virtual(play())


async def journal_of(records: list[JournalRecord], snapshot: tuple[int, bytes] | None = None) -> MemoryJournal:
    journal = MemoryJournal()
    await journal.append(records)
    if snapshot is not None:
        await journal.save_snapshots({"u": snapshot})
    return journal


def changed(record: JournalRecord, **data: Any) -> JournalRecord:
    """The record with other `data` in its first event."""
    event = msgspec.json.decode(record.events[0])
    event["data"] |= data
    return msgspec.structs.replace(record, events=(msgspec.json.encode(event).decode(), *record.events[1:]))


async def test_the_journal_of_a_day_leads_to_the_live_state_byte_for_byte(lived: Lived) -> None:
    records, number, state = lived

    found = await replay_user(await journal_of(records, (number, state)), "u")

    assert found.is_equal
    assert (found.from_record, found.records, found.snapshot, found.state_bytes) == (1, len(records), number, len(state))
    assert found.events == records[-1].last_seq > 20


async def test_an_event_that_was_lived_otherwise_is_found_by_record_and_field(lived: Lived) -> None:
    records, number, state = lived
    at = next(index for index, record in enumerate(records) if any('"ORDER_SUBMITTED"' in text for text in record.events))
    index = next(i for i, text in enumerate(records[at].events) if '"ORDER_SUBMITTED"' in text)
    reordered = msgspec.structs.replace(records[at], events=(records[at].events[index],))
    lie = changed(reordered, quantity="31")
    tampered = [*records[:at], msgspec.structs.replace(records[at], events=(*records[at].events[:index], *lie.events)), *records[at + 1 :]]

    found = await replay_user(await journal_of(tampered, (number, state)), "u")

    assert found.difference is not None
    assert (found.difference.record, found.difference.field) == (records[at].number, f"events.{index}.data.quantity")
    assert found.difference.lived == "31"
    assert found.difference.replayed != "31"


async def test_a_kept_state_that_the_journal_does_not_lead_to_is_found_by_field(lived: Lived) -> None:
    records, number, state = lived
    other = state.replace(b'"user_id":"u"', b'"user_id":"v"', 1)
    assert other != state

    found = await replay_user(await journal_of(records, (number, other)), "u")

    assert found.difference is not None
    assert (found.difference.record, found.difference.field) == (number, "state.user_id")
    assert (found.difference.lived, found.difference.replayed) == ("v", "u")


async def test_where_the_oldest_records_are_gone_the_replay_begins_with_the_snapshot(lived: Lived) -> None:
    records, _, _ = lived
    middle = len(records) // 2
    state, number, _ = fold("u", None, records[:middle])

    found = await replay_user(await journal_of(records[middle:], (number, encode_state(state))), "u")

    assert found.is_equal
    assert (found.from_record, found.records) == (number + 1, len(records) - middle)
    with pytest.raises(InvalidInput, match=r"begins with record 3 and no snapshot"):
        await replay_user(await journal_of(records[2:]), "u")


async def test_a_user_without_a_journal_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"'u'.*has no journal here"):
        await replay_user(MemoryJournal(), "u")
