"""Stop and target that wait at the venue: one cancels the other, and the runtime watches all the same."""

from decimal import Decimal

import pytest

from runtime.engine import TradingEngine
from runtime.events import Effect, SquareOff, UpdateConfig, Watch
from runtime.orders import Leg, Order, OrderAbsent, OrderStatus, OrderType, OrderUnknown
from runtime.session import Mode, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod
from runtime.signals import OrderSide, Side
from tests.builders import (
    arrive,
    at,
    cancelled,
    cancels,
    config,
    data_of,
    engine,
    fill,
    leg_of,
    option,
    orders,
    points,
    reject,
    said,
    signal,
    touch,
    wake,
)

AT_BROKER = Protection(at_broker=True)


def bracket(settings: SessionConfig | None = None) -> tuple[TradingEngine, Order, Order, list[Effect]]:
    """A trader in a trade of 30 at 100 with stop 80 and target 130 at the venue."""
    trader = engine(settings or config(protection=AT_BROKER))
    entry = leg_of(arrive(trader, signal(Side.LONG)), Leg.ENTRY)
    effects = fill(trader, entry, "100")
    return trader, leg_of(effects, Leg.STOP), leg_of(effects, Leg.TARGET), effects


def test_a_filled_entry_places_its_stop_and_its_target_at_the_venue_and_is_watched_too() -> None:
    _, stop, target, effects = bracket()
    assert (stop.type, stop.stop_price, stop.side, stop.quantity, stop.reduce_only) == (
        OrderType.STOP_MARKET,
        Decimal(80),
        OrderSide.SELL,
        Decimal(30),
        True,
    )
    assert (target.type, target.limit_price, target.side, target.quantity, target.reduce_only) == (
        OrderType.LIMIT,
        Decimal(130),
        OrderSide.SELL,
        Decimal(30),
        True,
    )
    (watch,) = [effect for effect in effects if isinstance(effect, Watch)]
    assert (watch.low, watch.high) == (80.0, 130.0)


def test_a_part_filled_entry_is_protected_for_what_is_filled_and_then_for_the_rest() -> None:
    trader = engine(config(protection=AT_BROKER, sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(90))))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    first = orders(fill(trader, entry, "100", quantity=30))
    rest = orders(fill(trader, entry, "100", quantity=60, fill_id="f2"))
    assert [(order.leg, int(order.quantity)) for order in first + rest] == [
        (Leg.STOP, 30),
        (Leg.TARGET, 30),
        (Leg.STOP, 60),
        (Leg.TARGET, 60),
    ]


@pytest.mark.parametrize(
    ("protection", "legs"),
    [(Protection(), []), (Protection(at_broker=True, stop=points("10")), [Leg.STOP, Leg.TARGET])],
)
def test_legs_are_placed_only_where_the_user_wants_them(protection: Protection, legs: list[Leg]) -> None:
    trader = engine(config(protection=protection))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    assert [order.leg for order in orders(fill(trader, entry, "100"))] == legs


def test_a_live_venue_that_takes_no_waiting_orders_gets_none() -> None:
    trader = engine(config(protection=AT_BROKER, mode=Mode.LIVE, native_stops=False))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    assert orders(fill(trader, entry, "100")) == []


@pytest.mark.parametrize(("leg", "price", "reason", "pnl"), [(Leg.STOP, "79.5", "SL", "-615.0"), (Leg.TARGET, "130", "TP", "900")])
def test_one_leg_filled_cancels_the_other(leg: Leg, price: str, reason: str, pnl: str) -> None:
    trader, stop, target, _ = bracket()
    filled, other = (stop, target) if leg is Leg.STOP else (target, stop)
    effects = fill(trader, filled, price, "10:05")
    closed = data_of(effects, "POSITION_CLOSED")
    assert (closed["exit_reason"], closed["realised_pnl"]) == (reason, pnl)
    assert cancels(effects) == [other.order_id]
    cancelled(trader, other, "10:05")
    assert trader.state.orders == {}


def test_a_part_filled_target_shortens_the_stop_to_what_is_left() -> None:
    trader, stop, target, _ = bracket()
    effects = fill(trader, target, "130", "10:05", quantity=10)
    assert cancels(effects) == [stop.order_id]
    shorter = leg_of(cancelled(trader, stop, "10:05"), Leg.STOP)
    assert (shorter.quantity, shorter.stop_price) == (Decimal(20), Decimal(80))
    assert orders(fill(trader, target, "130", "10:06", quantity=20, fill_id="f2")) == []
    assert trader.state.open_positions == []


def test_both_legs_filled_by_a_race_is_flattened_at_once_and_alerted() -> None:
    trader, stop, target, _ = bracket()
    fill(trader, target, "130", "10:05")
    effects = fill(trader, stop, "129", "10:05")
    assert said(effects)[:3] == ["ORDER_FILLED", "POSITION_OPENED", "EXIT_ALERT"]
    alert = data_of(effects, "EXIT_ALERT")
    assert (alert["priority"], alert["rule"], alert["action"]) == ("CRITICAL", "SURPLUS", "CLOSE")
    (flatten,) = orders(effects)
    assert (flatten.side, flatten.quantity, flatten.reduce_only) == (OrderSide.BUY, Decimal(30), True)
    closed = data_of(fill(trader, flatten, "129.5", "10:05"), "POSITION_CLOSED")
    assert (closed["exit_reason"], closed["realised_pnl"]) == ("SURPLUS", "-15.0")  # sold at 129, bought back at 129.5, 30 units
    assert trader.state.realised_today == Decimal(900) - Decimal(15)


def test_an_exit_signal_cancels_both_legs_and_closes_what_is_left_when_the_cancels_are_final() -> None:
    trader, stop, target, _ = bracket()
    effects = arrive(trader, signal(Side.FLAT, "10:10"))
    assert orders(effects) == []
    assert set(cancels(effects)) == {stop.order_id, target.order_id}
    assert orders(fill(trader, target, "130", "10:10", quantity=10)) == []
    assert orders(cancelled(trader, target, "10:10")) == []
    (close,) = orders(cancelled(trader, stop, "10:10"))
    assert (close.leg, close.quantity) == (Leg.EXIT, Decimal(20))


def test_a_leg_that_fills_before_its_cancel_leaves_nothing_to_close() -> None:
    trader, stop, target, _ = bracket()
    arrive(trader, signal(Side.SHORT, "10:10"))
    fill(trader, stop, "80", "10:10")
    (entry,) = orders(cancelled(trader, target, "10:10"))  # only now does the reversal enter
    assert entry.instrument.id.endswith("PE")


def test_a_touched_stop_of_the_runtime_takes_the_legs_out_of_the_way_first() -> None:
    trader, stop, target, _ = bracket()
    effects = touch(trader, 79.0)
    assert (orders(effects), set(cancels(effects))) == ([], {stop.order_id, target.order_id})
    cancelled(trader, stop, "10:05")
    (close,) = orders(cancelled(trader, target, "10:05"))
    assert data_of(fill(trader, close, "79", "10:05"), "POSITION_CLOSED")["exit_reason"] == "SL"


def test_an_exit_does_not_wait_for_a_leg_whose_fate_has_been_unknown_for_long() -> None:
    trader, stop, target, _ = bracket()
    trader.process(OrderUnknown(ts=at("10:04"), order_id=stop.order_id, reason="timeout"))
    touch(trader, 79.0)
    (close,) = orders(cancelled(trader, target, "10:05"))
    fill(trader, close, "79", "10:05")
    (flatten,) = orders(fill(trader, stop, "79", "10:06"))  # it had been there, and filled
    assert flatten.side is OrderSide.BUY


def test_an_exit_gives_a_leg_of_unknown_fate_four_seconds_since_it_was_sent() -> None:
    trader, stop, target, _ = bracket()  # sent at 10:00:00
    trader.process(OrderUnknown(ts=at("10:00:01"), order_id=stop.order_id, reason="timeout"))
    touch(trader, 79.0, "10:00:02")
    assert orders(cancelled(trader, target, "10:00:02")) == []
    assert trader.state.wake_at == at("10:00:04")
    (close,) = orders(wake(trader))
    assert (close.leg, close.quantity) == (Leg.EXIT, Decimal(30))


def test_a_leg_of_unknown_fate_that_has_filled_meanwhile_is_the_exit() -> None:
    trader, stop, target, _ = bracket()
    trader.process(OrderUnknown(ts=at("10:00:01"), order_id=stop.order_id, reason="timeout"))
    touch(trader, 79.0, "10:00:02")
    cancelled(trader, target, "10:00:02")
    effects = fill(trader, stop, "79", "10:00:03")
    assert data_of(effects, "POSITION_CLOSED")["exit_reason"] == "SL"
    assert orders(effects) == []


def test_a_leg_that_never_arrived_is_placed_again() -> None:
    trader, stop, _, _ = bracket()
    trader.process(OrderUnknown(ts=at("10:01"), order_id=stop.order_id, reason="timeout"))
    effects = trader.process(OrderAbsent(ts=at("10:01:03"), order_id=stop.order_id))
    (again,) = orders(effects)
    assert (again.leg, again.stop_price, again.quantity) == (Leg.STOP, Decimal(80), Decimal(30))
    assert again.order_id != stop.order_id
    assert "EXIT_ALERT" not in said(effects)


def test_a_trailing_stop_moves_the_leg_by_cancel_and_replace() -> None:
    trader, stop, _, _ = bracket(config(protection=Protection(at_broker=True, trail=points("10"))))
    assert stop.stop_price == Decimal(90)
    effects = touch(trader, 112.0)
    assert cancels(effects) == [stop.order_id]
    moved = leg_of(cancelled(trader, stop, "10:05"), Leg.STOP)
    assert moved.stop_price == Decimal(102)
    assert data_of(fill(trader, moved, "102", "10:06"), "POSITION_CLOSED")["exit_reason"] == "TRAIL"


def test_a_trailing_stop_leaves_two_messages_of_the_order_rate_to_exits() -> None:
    settings = config(protection=Protection(at_broker=True, trail=points("10")), risk=RiskLimits(max_orders_per_second=5))
    trader, stop, _, _ = bracket(settings)
    cancelled_stop = touch(trader, 112.0, "10:00:00.5")
    assert cancels(cancelled_stop) == []  # entry, stop and target have used three of five
    effects = wake(trader)
    assert cancels(effects) == [stop.order_id]


@pytest.mark.parametrize("leg", [Leg.STOP, Leg.TARGET])
def test_a_leg_that_the_venue_refuses_is_alerted_and_only_watched_from_then_on(leg: Leg) -> None:
    trader, stop, target, _ = bracket()
    effects = reject(trader, stop if leg is Leg.STOP else target)
    alert = data_of(effects, "EXIT_ALERT")
    assert (alert["rule"], alert["action"]) == ("SL" if leg is Leg.STOP else "TP", "WATCH")
    assert orders(effects) == []
    (watch,) = [effect for effect in effects if isinstance(effect, Watch)]
    assert (watch.low, watch.high) == (80.0, 130.0)


def test_a_leg_that_the_venue_drops_unasked_is_alerted_too() -> None:
    trader, stop, _, _ = bracket()
    assert "EXIT_ALERT" in said(cancelled(trader, stop, "10:05"))


def test_legs_above_the_freeze_quantity_are_sliced_like_entries() -> None:
    trader = engine(config(protection=AT_BROKER, sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(1200))))
    first, second = orders(arrive(trader, signal(Side.LONG, instrument=option(freeze=900))))
    fill(trader, first, "100")
    effects = orders(fill(trader, second, "100"))
    working = [order.order for order in trader.state.orders.values()]
    assert len(effects) == 2
    assert sorted(int(order.quantity) for order in working if order.leg is Leg.STOP) == [300, 900]
    assert sorted(int(order.quantity) for order in working if order.leg is Leg.TARGET) == [300, 900]


def test_protection_switched_off_while_in_a_trade_takes_the_legs_out() -> None:
    trader, stop, target, _ = bracket()
    effects = trader.process(UpdateConfig(ts=at("10:05"), command_id="u", config=config()))
    assert set(cancels(effects)) == {stop.order_id, target.order_id}


def test_a_second_signal_for_the_same_side_leaves_the_legs_alone() -> None:
    trader, *_ = bracket()
    effects = arrive(trader, signal(Side.LONG, "10:10"))
    assert (said(effects), orders(effects), cancels(effects)) == (["SIGNAL", "SIGNAL_SKIPPED"], [], [])


def test_an_exit_that_finds_the_order_rate_used_up_leaves_when_it_has_room() -> None:
    trader, stop, target, _ = bracket(config(protection=AT_BROKER, risk=RiskLimits(max_orders_per_second=5)))
    effects = trader.process(SquareOff(ts=at("10:00:00.5"), command_id="sq"))
    assert cancels(effects) == [stop.order_id, target.order_id]  # with entry, stop and target that makes five
    cancelled(trader, stop, "10:00:00.6")
    assert orders(cancelled(trader, target, "10:00:00.6")) == []
    assert trader.state.wake_at == at("10:00:01")
    (close,) = orders(wake(trader))
    assert close.leg is Leg.EXIT


def test_a_stop_whose_answer_is_lost_is_not_placed_twice() -> None:
    trader, stop, _, _ = bracket()
    effects = trader.process(OrderUnknown(ts=at("10:01"), order_id=stop.order_id, reason="timeout"))
    assert orders(effects) == []
    assert trader.state.orders[stop.order_id].status is OrderStatus.UNKNOWN
