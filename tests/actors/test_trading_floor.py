"""Journal first, act second, while the next traders decide already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from actors.trading_floor import CHUNK
from actors.turned import Input
from actors.wire import decode_input
from runtime.events import JournalRecord, PauseSession, SignalArrived, SquareOff
from tests.actors.floors import Crowd
from tests.builders import at, signal

USERS = [f"u{number:04d}" for number in range(2 * CHUNK + 10)]


def arrivals(users: list[str]) -> list[Input]:
    return [(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in users]


def published(crowd: Crowd) -> list[tuple[str, str]]:
    """(user, type) of what waits to be published."""
    return [(user, text.split('"type":"')[1].split('"')[0]) for user, _, text in crowd.outbox._to_publish]


async def test_no_order_leaves_and_no_word_gets_out_before_the_record_is_durable() -> None:
    crowd = Crowd(["u1"])
    await crowd.start()
    crowd.outbox._to_publish.clear()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run(arrivals(["u1"])))
    await crowd.journal.asked.wait()

    [order] = crowd.floor.traders["u1"].state.orders.values()
    assert published(crowd) == []
    assert not crowd.floor.desk._venue._exchange.knows(order.order.order_id)
    crowd.journal.gate.set()
    await running
    assert [kind for _, kind in published(crowd)] == ["SIGNAL", "ORDER_SUBMITTED", "ORDER_ACCEPTED", "ORDER_FILLED", "POSITION_OPENED"]


async def test_while_one_chunk_is_written_the_next_decides_but_its_orders_wait_for_their_own_records() -> None:
    crowd = Crowd(USERS)
    await crowd.start()
    crowd.outbox._to_publish.clear()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run(arrivals(USERS)))
    await crowd.journal.asked.wait()
    second = crowd.floor.traders[USERS[2 * CHUNK - 1]]
    for _ in range(100):  # everything that can happen before the journal answers
        await asyncio.sleep(0)
    assert second.state.orders

    third = crowd.floor.traders[USERS[-1]]
    assert (published(crowd), third.state.orders) == ([], {})
    crowd.journal.gate.set()
    await running
    assert [len(batch) for batch in crowd.journal.batches[:3]] == [CHUNK, CHUNK, 10]


async def test_all_orders_of_a_signal_are_decided_before_the_first_fill_is_taken_in() -> None:
    crowd = Crowd(USERS)
    await crowd.start()
    await crowd.floor.run(arrivals(USERS))

    inputs = [record.input.split('"type":"')[1].split('"')[0] for batch in crowd.journal.batches for record in batch]
    assert inputs == ["SignalArrived"] * len(USERS) + ["OrderAccepted", "OrderFilled"] * len(USERS)
    assert [record.user_id for batch in crowd.journal.batches for record in batch][: len(USERS)] == USERS


async def test_a_user_taken_over_by_another_incarnation_is_dismissed_and_the_others_go_on() -> None:
    crowd = Crowd(USERS)
    await crowd.start()
    crowd.outbox._to_publish.clear()
    theirs = JournalRecord(user_id=USERS[CHUNK], number=2, epoch=2, ts=at("10:00"), input="{}")
    await crowd.journal.append([theirs])
    await crowd.floor.run(arrivals(USERS))

    assert [trader.user_id for trader in crowd.floor.fenced] == [USERS[CHUNK]]
    assert USERS[CHUNK] not in crowd.floor.traders
    assert sum(len(trader.state.open_positions) for trader in crowd.floor.traders.values()) == len(USERS) - 1
    assert USERS[CHUNK] not in {user for user, _ in published(crowd)}


async def test_nothing_is_published_while_traders_decide() -> None:
    crowd = Crowd(["u1"])
    await crowd.start()
    publishing = asyncio.create_task(crowd.outbox.run())
    await crowd.outbox.drained()
    crowd.journal.gate.clear()
    running = asyncio.create_task(crowd.floor.run(arrivals(["u1"])))
    crowd.outbox.put("u2", 1, '{"type":"HEARTBEAT"}')
    for _ in range(10):
        await asyncio.sleep(0)
    assert await crowd.bus.published_seqs(["u2"]) == {"u2": 0}
    crowd.journal.gate.set()
    await running
    publishing.cancel()


async def test_the_orders_of_the_others_are_out_before_the_journal_of_one_that_failed_is_read() -> None:
    crowd = Crowd(["bad", "u1", "u2"])
    await crowd.start()
    reading, go_on, read = asyncio.Event(), asyncio.Event(), crowd.journal.read

    async def read_when_told(user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        reading.set()
        await go_on.wait()
        async for record in read(user_id, after):
            yield record

    crowd.journal.read = read_when_told  # type: ignore[method-assign]
    crowd.floor.traders["bad"].state.config = None  # type: ignore[assignment]  # its engine cannot go on
    arrived = SignalArrived(ts=at("10:00"), signal=signal())
    paused_by_hand = PauseSession(ts=at("10:00"), command_id="pause")
    running = asyncio.create_task(crowd.floor.run([("bad", arrived), ("bad", paused_by_hand), ("u1", arrived), ("u2", arrived)]))
    await reading.wait()
    exchange = crowd.floor.desk._venue._exchange
    assert [exchange.knows(next(iter(crowd.floor.traders[user].state.orders))) for user in ("u1", "u2")] == [True, True]
    go_on.set()
    await running

    assert [len(crowd.floor.traders[user].state.open_positions) for user in ("bad", "u1", "u2")] == [0, 1, 1]
    inputs = [type(decode_input(record.input)).__name__ for record in await records_of(crowd, "bad")]
    assert inputs[-2:] == ["SuspendSession", "PauseSession"]


async def records_of(crowd: Crowd, user_id: str) -> list[JournalRecord]:
    return [record async for record in crowd.journal.read(user_id, 0)]


async def decided_before_the_outage(crowd: Crowd) -> None:
    """An entry is decided; while its record is written the store is found away, and the record goes to the local log."""
    await crowd.start()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run(arrivals(["u1"])))
    await crowd.journal.asked.wait()
    crowd.store_is_away = True
    crowd.journal.gate.set()
    await running


def open_orders(crowd: Crowd) -> list[str]:
    """Of the trader, in the paper book or on its way there."""
    return list(crowd.floor.traders["u1"].state.orders)


async def test_an_entry_that_was_decided_before_the_store_was_found_away_leaves_once_when_it_is_back() -> None:
    crowd = Crowd(["u1"])
    await decided_before_the_outage(crowd)
    [order_id] = open_orders(crowd)
    await crowd.floor.reconnect(at("10:00:30"))
    assert not crowd.floor.desk._venue._exchange.knows(order_id)

    crowd.store_is_away = False
    await crowd.floor.reconnect(at("10:01"))
    assert crowd.floor.desk._venue._exchange.knows(order_id)
    assert len(crowd.floor.traders["u1"].state.open_positions) == 1
    records = len(crowd.journal.batches)
    await crowd.floor.reconnect(at("10:01:01"))
    assert len(crowd.journal.batches) == records


async def test_an_entry_that_was_withheld_too_long_is_called_off() -> None:
    crowd = Crowd(["u1"])
    await decided_before_the_outage(crowd)
    [order_id] = open_orders(crowd)
    crowd.store_is_away = False
    await crowd.floor.reconnect(at("10:01:31"))

    assert open_orders(crowd) == []
    assert not crowd.floor.desk._venue._exchange.knows(order_id)
    assert crowd.floor.traders["u1"].state.open_positions == []


async def test_a_withheld_entry_that_is_called_off_meanwhile_never_leaves() -> None:
    crowd = Crowd(["u1"])
    await decided_before_the_outage(crowd)
    [order_id] = open_orders(crowd)
    await crowd.floor.run([("u1", SquareOff(ts=at("10:00:10"), command_id="now"))])
    crowd.store_is_away = False
    await crowd.floor.reconnect(at("10:00:20"))

    assert open_orders(crowd) == []
    assert not crowd.floor.desk._venue._exchange.knows(order_id)


async def test_a_user_who_has_gone_takes_his_withheld_entry_with_him() -> None:
    crowd = Crowd(["u1"])
    await decided_before_the_outage(crowd)
    [order_id] = open_orders(crowd)
    crowd.floor.release("u1")
    crowd.store_is_away = False
    await crowd.floor.reconnect(at("10:00:20"))
    assert not crowd.floor.desk._venue._exchange.knows(order_id)
