"""What waits for a host's loop, and what gives way when too much of it waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from actors.inbox import COMMANDS_WAITING_MAX, PRICES_WAITING_MAX, Command, Inbox, PriceBatch, Report
from runtime.market import Prices, Quote
from runtime.orders import OrderAccepted
from tests.builders import at


def prices(seq: int, *quotes: tuple[str, float], barrier: int | None = None) -> Prices:
    return Prices(
        seq=seq,
        ts=at("10:00") + timedelta(seconds=seq),
        quotes=tuple(Quote(name, price) for name, price in quotes),
        signals_id=f"{seq}-0",
        barrier=barrier,
    )


def test_what_comes_in_is_taken_in_the_order_of_arrival() -> None:
    inbox = Inbox()
    report = Report("u", OrderAccepted(ts=at("10:00"), order_id="o", broker_order_id="b"))
    inbox.put_prices(7, prices(1))
    inbox.put(report)
    asyncio.run(inbox.put_command("1-0", b"{}"))

    assert [inbox.take(), inbox.take(), inbox.take()] == [PriceBatch(7, 1, prices(1)), report, Command("1-0", b"{}")]
    assert len(inbox) == 0


def test_prices_of_a_host_that_lags_far_behind_are_merged_into_the_newest_quote_of_each_instrument() -> None:
    inbox = Inbox()
    for seq in range(1, PRICES_WAITING_MAX + 1):
        inbox.put_prices(seq, prices(seq, ("A", float(seq)), ("B", 1.0)))
    inbox.put_prices(0, prices(PRICES_WAITING_MAX + 1, ("A", 0.5), barrier=42))
    inbox.put_prices(0, prices(PRICES_WAITING_MAX + 2, ("C", 9.0)))

    taken = [inbox.take() for _ in range(len(inbox))]
    merged = prices(PRICES_WAITING_MAX + 2, ("A", 0.5), ("B", 1.0), ("C", 9.0), barrier=42)
    assert taken[-1] == PriceBatch(PRICES_WAITING_MAX, PRICES_WAITING_MAX, merged)
    assert taken[-2] == PriceBatch(PRICES_WAITING_MAX - 1, PRICES_WAITING_MAX - 1, prices(PRICES_WAITING_MAX - 1, ("A", 999.0), ("B", 1.0)))
    assert (len(taken), inbox.conflated) == (PRICES_WAITING_MAX, 2)


def test_neither_commands_nor_reports_give_way_to_prices() -> None:
    inbox = Inbox()
    report = Report("u", OrderAccepted(ts=at("10:00"), order_id="o", broker_order_id="b"))
    for seq in range(2 * PRICES_WAITING_MAX):
        inbox.put_prices(0, prices(seq))
        inbox.put(report)
    assert sum(isinstance(inbox.take(), Report) for _ in range(len(inbox))) == 2 * PRICES_WAITING_MAX


def test_the_reader_of_commands_waits_while_too_many_of_them_wait_and_none_is_lost() -> None:
    async def run() -> tuple[int, list[str]]:
        inbox = Inbox()

        async def read() -> None:
            for number in range(COMMANDS_WAITING_MAX + 10):
                await inbox.put_command(f"{number}-0", b"")

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        waiting = len(inbox)
        taken: list[str] = []
        while len(taken) < COMMANDS_WAITING_MAX + 10:
            await inbox.wait()
            item = inbox.take()
            assert isinstance(item, Command)
            taken.append(item.entry_id)
        await reader
        return waiting, taken

    waiting, taken = asyncio.run(run())
    assert waiting == COMMANDS_WAITING_MAX
    assert taken == [f"{number}-0" for number in range(COMMANDS_WAITING_MAX + 10)]


def test_reports_that_wait_together_are_taken_together() -> None:
    inbox = Inbox()
    reports = [Report("u", OrderAccepted(ts=at("10:00"), order_id=name, broker_order_id="b")) for name in "abc"]
    inbox.put(reports[0])
    inbox.put(reports[1])
    inbox.put_prices(0, prices(1))
    inbox.put(reports[2])
    assert inbox.take_reports() == reports[:2]
    assert inbox.take_reports() == []
    assert isinstance(inbox.take(), PriceBatch)
    assert inbox.take_reports() == reports[2:]
