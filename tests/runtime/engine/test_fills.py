"""What a broker reports of an order: taken once, in any order, and a fill even after the end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from runtime.engine import TradingEngine
from runtime.engine.fills import UNFILLED_REMEMBERED
from runtime.events import Effect
from runtime.orders import Leg, Order, OrderAbsent, OrderCancelled, OrderFilled, OrderRejected, OrderUnknown
from runtime.session import Protection, RiskLimits, SessionConfig, Subscription
from runtime.signals import OrderSide, Side
from tests.builders import (
    ONE_LOT,
    SUBSCRIPTION,
    accept,
    arrive,
    at,
    cancelled,
    config,
    data_of,
    engine,
    fill,
    in_trade,
    leg_of,
    orders,
    reject,
    said,
    signal,
    touch,
    wake,
)

MANY = config(risk=RiskLimits(max_orders_per_day=1000, max_daily_loss=None))


def entering(settings: SessionConfig | None = None) -> tuple[TradingEngine, Order]:
    trader = engine(settings)
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    return trader, entry


def report(trader: TradingEngine, order: Order, kind: type, **more: str) -> list[Effect]:
    return trader.process(kind(ts=at("10:01"), order_id=order.order_id, **more))


def test_an_acceptance_is_told_and_the_brokers_own_id_is_kept() -> None:
    trader, entry = entering()
    assert said(accept(trader, entry)) == ["ORDER_ACCEPTED"]
    assert trader.state.orders[entry.order_id].broker_order_id == f"b-{entry.order_id}"
    assert said(accept(trader, entry)) == []  # said again


def test_an_order_of_unknown_fate_is_told_with_the_reason_and_stays() -> None:
    trader, entry = entering()
    effects = report(trader, entry, OrderUnknown, reason="timeout")
    assert data_of(effects, "ORDER_UNKNOWN")["reason"] == "timeout"
    assert trader.state.orders[entry.order_id].status == "UNKNOWN"


def test_an_order_that_never_arrived_is_told_as_rejected_and_the_next_signal_enters() -> None:
    trader, entry = entering()
    report(trader, entry, OrderUnknown, reason="timeout")
    effects = report(trader, entry, OrderAbsent)
    assert data_of(effects, "ORDER_REJECTED")["reason"] == "the broker's books show that it never arrived"
    assert trader.state.orders == {}
    assert len(orders(arrive(trader, signal(Side.LONG, "10:02")))) == 1


def test_a_cancelled_entry_keeps_what_has_filled_of_it() -> None:
    trader, entry = entering()
    fill(trader, entry, "100", quantity=10)
    effects = report(trader, entry, OrderCancelled, reason="end of day")
    told = data_of(effects, "ORDER_CANCELLED")
    assert (told["filled_quantity"], told["reason"]) == ("10", "end of day")
    assert [position.quantity for position in trader.state.open_positions] == [10]


def test_a_fill_is_booked_once_and_never_for_more_than_was_ordered() -> None:
    trader, entry = entering()
    assert said(fill(trader, entry, "100", quantity=10)) == ["ORDER_PARTIALLY_FILLED", "POSITION_OPENED"]
    assert fill(trader, entry, "100", quantity=10) == []
    effects = fill(trader, entry, "100", quantity=999, fill_id="f2")
    assert data_of(effects, "ORDER_FILLED")["filled_quantity"] == "30"
    assert [position.quantity for position in trader.state.open_positions] == [30]


@pytest.mark.parametrize("kind", [OrderCancelled, OrderAbsent])
def test_news_of_an_order_that_is_over_or_nobodys_changes_nothing(kind: type) -> None:
    trader, entry = entering()
    fill(trader, entry, "100")
    assert report(trader, entry, kind) == []
    assert trader.process(kind(ts=at("10:01"), order_id="nobody's")) == []
    assert trader.process(OrderFilled(ts=at("10:01"), order_id="nobody's", fill_id="f", quantity=Decimal(1), price=Decimal(1))) == []


# --- after the end ---


def given_up(settings: SessionConfig | None = None) -> tuple[TradingEngine, Order]:
    """An entry that the venue has called cancelled."""
    trader, entry = entering(settings)
    cancelled(trader, entry)
    return trader, entry


def test_an_entry_that_fills_after_its_end_is_booked_alerted_and_closed() -> None:
    trader, entry = given_up()
    effects = fill(trader, entry, "100", "10:02")
    assert said(effects) == ["ORDER_FILLED", "POSITION_OPENED", "EXIT_ALERT", "ORDER_SUBMITTED"]
    alert = data_of(effects, "EXIT_ALERT")
    assert (alert["rule"], alert["priority"], alert["action"], alert["price"]) == ("SURPLUS", "CRITICAL", "CLOSE", "100")
    close = leg_of(effects, Leg.EXIT)
    assert (close.side, close.quantity, close.reduce_only) == (OrderSide.SELL, 30, True)
    assert data_of(fill(trader, close, "99", "10:02"), "POSITION_CLOSED")["exit_reason"] == "SURPLUS"
    assert trader.state.realised_today == -30


def test_it_is_closed_beside_what_has_been_entered_meanwhile() -> None:
    trader, entry = given_up()
    (newer,) = orders(arrive(trader, signal(Side.LONG, "10:01")))
    fill(trader, newer, "100", "10:01")
    close = leg_of(fill(trader, entry, "101", "10:02"), Leg.EXIT)
    fill(trader, close, "102", "10:02")
    (kept,) = trader.state.open_positions
    assert (kept.position_id, kept.quantity) == (newer.order_id, 30)
    assert trader.state.realised_today == 30


def test_a_late_fill_is_booked_once_and_in_parts_up_to_what_was_ordered() -> None:
    trader, entry = given_up()
    fill(trader, entry, "100", "10:02", quantity=10)
    assert fill(trader, entry, "100", "10:02", quantity=10) == []
    fill(trader, entry, "100", "10:02", quantity=999, fill_id="f2")
    assert fill(trader, entry, "100", "10:02", quantity=10, fill_id="f3") == []  # it is filled, and forgotten
    assert sum(position.quantity for position in trader.state.open_positions) == 30
    assert trader.state.unfilled == []


def test_a_late_fill_of_an_exit_closes_what_is_still_there() -> None:
    """Rejected, they said; a second later it has filled, and nothing is left to be sent again."""
    trader = in_trade()
    (close,) = orders(touch(trader, 79.0))
    reject(trader, close, "10:05")
    effects = fill(trader, close, "79", "10:05:00.5")
    assert data_of(effects, "POSITION_CLOSED")["exit_reason"] == "SL"
    assert trader.state.open_positions == []
    assert trader.state.wake_at is None


def test_the_last_eight_unfilled_orders_are_remembered_for_a_late_fill() -> None:
    trader = engine(MANY)
    ended: list[Order] = []
    for minute in range(UNFILLED_REMEMBERED + 1):
        (entry,) = orders(arrive(trader, signal(Side.LONG, f"10:{minute:02}")))
        cancelled(trader, entry)
        ended.append(entry)
    assert UNFILLED_REMEMBERED == 8
    assert fill(trader, ended[0], "100", "10:30") == []
    assert said(fill(trader, ended[1], "100", "10:30"))[0] == "ORDER_FILLED"


def test_only_orders_that_ended_unfilled_are_remembered() -> None:
    trader, entry = entering()
    fill(trader, entry, "100")
    assert trader.state.unfilled == []


# --- what fails ---


def test_an_exit_that_fails_again_and_again_is_tried_later_each_time_and_at_least_every_half_minute() -> None:
    trader = in_trade(MANY)
    (close,) = orders(touch(trader, 79.0))
    pauses: list[float] = []
    now = at("10:05")
    for _ in range(8):
        trader.process(OrderRejected(ts=now, order_id=close.order_id, reason="no"))
        assert trader.state.wake_at is not None
        pauses.append((trader.state.wake_at - now).total_seconds())
        now = trader.state.wake_at
        (close,) = orders(wake(trader))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(("leg", "rule", "price"), [(Leg.STOP, "SL", "80.00"), (Leg.TARGET, "TP", "130.00")])
def test_a_leg_that_the_venue_refuses_is_alerted_at_its_own_price(leg: Leg, rule: str, price: str) -> None:
    trader, entry = entering(config(protection=Protection(at_broker=True)))
    lost = leg_of(fill(trader, entry, "100"), leg)
    alert = data_of(reject(trader, lost), "EXIT_ALERT")
    assert (alert["rule"], alert["action"], alert["price"]) == (rule, "WATCH", price)
    (position,) = trader.state.open_positions
    assert position.legs_refused == [leg]


def test_an_exit_that_a_command_asked_for_and_that_fails_is_alerted_as_such() -> None:
    trader = in_trade()
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:10")))
    alert = data_of(reject(trader, close, "10:10"), "EXIT_ALERT")
    assert (alert["rule"], alert["priority"], alert["price"]) == ("SIGNAL", "HIGH", "100")


def test_fees_are_counted_by_order_book_and_account() -> None:
    """Half a percent of 30 × 100, then of 30 × 110: 15 and 16.50."""
    subscription = Subscription(sizing=ONE_LOT)
    trader, entry = entering(SessionConfig(subscriptions=(subscription,), fees="flat:0.005"))
    fill(trader, entry, "100", quantity=10)
    assert trader.state.orders[entry.order_id].fees == 5
    fill(trader, entry, "100", quantity=20, fill_id="f2")
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:10")))
    fill(trader, close, "110", "10:10")
    slot = trader.state.slots[SUBSCRIPTION.key]
    assert (slot.fees_today, slot.fees_total) == (Decimal("31.5"), Decimal("31.5"))
    assert (trader.state.fees_today, trader.state.fees_total) == (Decimal("31.5"), Decimal("31.5"))
    assert trader.state.net_today == 300 - Decimal("31.5")


def test_a_loss_that_is_only_known_when_the_exit_fills_halts_all_the_same() -> None:
    """Nobody saw the price; the exit fills 20 lower than entered: 600 of 500."""
    trader = in_trade(config(risk=RiskLimits(max_daily_loss=Decimal(500))))
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:10")))
    effects = fill(trader, close, "80", "10:10")
    assert "net -600.00 today" in data_of(effects, "RISK_HALT")["detail"]
    assert trader.state.wake_at is None or trader.state.wake_at > at("10:10") + timedelta(hours=1)
