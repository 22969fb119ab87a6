"""The desks' own ledger of accepted orders, and what a fan-out is held against it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from actors.desk import PaperDesk
from actors.order_ledger import Accepted, OrderLedger, read_ledger
from runtime.engine import TradingEngine
from runtime.market import Quote
from runtime.orders import Leg, Order
from tests.builders import arrive, at, engine, option, orders, signal
from tests.faults.fan_out import compare


def entry(trader: TradingEngine | None = None) -> Order:
    [order] = orders(arrive(trader or engine(), signal()))
    return order


def test_an_order_is_in_the_ledger_once_per_desk_that_accepted_it_and_a_cut_line_is_none(tmp_path: Path) -> None:
    order = entry()
    for host_id in ("packed-0", "packed-1"):  # the second desk takes the order over
        desk = PaperDesk(OrderLedger(tmp_path / f"{host_id}.jsonl"))
        desk.on_quotes([Quote(option().id, 100.0, 99.95, 100.0)], at("10:00"))
        desk.submit(order, at("10:00"), slippage_percent=order.quantity * 0)
    with (tmp_path / "packed-0.jsonl").open("ab") as file:
        file.write(b'{"at": "2026-11-2')
    ledger = read_ledger(tmp_path)
    assert [(line.user_id, line.order_id, line.signal_id, line.leg) for line in ledger] == [
        ("u1", order.order_id, order.signal_id, "ENTRY")
    ] * 2


def test_missing_and_doubled_entries_are_named_and_a_takeover_is_neither() -> None:
    def line(user: str, signal_id: str, order_id: str, leg: Leg = Leg.ENTRY) -> Accepted:
        now = datetime(2026, 11, 20, tzinfo=UTC)
        return Accepted(at=now, user_id=user, order_id=order_id, signal_id=signal_id, leg=leg, side="BUY", quantity="30")

    ledger = [
        line("a", "s1", "o1"),
        line("a", "s1", "o1"),  # the same order on a second desk
        line("a", "s2", "o2"),
        line("b", "s1", "o3"),
        line("b", "s1", "o4"),
        line("b", "s2", "o5", Leg.EXIT),
    ]
    assert compare(ledger, ["a", "b"], ["s1", "s2"]) == (["b s2"], ["b s1: 2 orders"])
