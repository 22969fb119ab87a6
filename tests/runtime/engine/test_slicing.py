"""Above the freeze quantity an intent leaves as several orders."""

from decimal import Decimal

import msgspec

from runtime.engine import TradingEngine
from runtime.events import HaltTrading, SquareOff
from runtime.market import Timeframe
from runtime.orders import Order
from runtime.outages import FeedChanged
from runtime.session import RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import Side
from tests.builders import arrive, at, cancelled, cancels, config, data_of, engine, fill, option, orders, reject, said, signal, wake

FROZEN = option(freeze=900)


def big(quantity: int = 2100, **limits: int) -> SessionConfig:
    return config(sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity)), risk=RiskLimits(max_daily_loss=None, **limits))


def enter(trader: TradingEngine, side: Side = Side.LONG) -> list[Order]:
    return orders(arrive(trader, signal(side, instrument=FROZEN)))


def sizes(sliced: list[Order]) -> list[int]:
    return [int(order.quantity) for order in sliced]


def test_an_entry_above_the_freeze_quantity_leaves_in_slices_of_their_own_ids() -> None:
    sliced = enter(engine(big()))
    assert sizes(sliced) == [900, 900, 300]
    assert len({order.order_id for order in sliced}) == 3
    assert {order.signal_id for order in sliced} == {"s-100000-LONG"}


def test_slices_that_the_order_rate_does_not_let_out_leave_a_second_later() -> None:
    trader = engine(big(max_orders_per_second=2))
    assert sizes(enter(trader)) == [900, 900]
    assert trader.state.wake_at == at("10:00:01")
    assert sizes(orders(wake(trader))) == [300]


def test_the_slices_fill_one_position_at_the_exact_average() -> None:
    trader = engine(big())
    first, second, third = enter(trader)
    fill(trader, first, "100")
    fill(trader, third, "103")
    effects = fill(trader, second, "101")
    assert data_of(effects, "POSITION_CHANGED")["quantity"] == "2100"
    (position,) = trader.state.open_positions
    assert position.cost == 900 * 100 + 900 * 101 + 300 * 103
    assert position.position_id == first.order_id


def test_a_target_that_arrives_between_slices_waits_for_the_last_of_them() -> None:
    trader = engine(big())
    sliced = enter(trader)
    arrive(trader, signal(Side.FLAT, "10:00:30"))
    assert orders(fill(trader, sliced[0], "100", "10:00:30")) == []
    assert orders(fill(trader, sliced[1], "100", "10:00:30")) == []
    assert sizes(orders(fill(trader, sliced[2], "100", "10:00:30"))) == [900, 900, 300]


def test_a_refused_slice_drops_those_that_have_not_left_and_keeps_what_fills() -> None:
    trader = engine(big(max_orders_per_second=2))
    first, second = enter(trader)
    reject(trader, first)
    fill(trader, second, "100")
    (position,) = trader.state.open_positions
    assert position.quantity == 900
    assert trader.state.orders == {}
    trader.process(SquareOff(ts=at("10:00:05"), command_id="sq"))
    assert sizes([order.order for order in trader.state.orders.values()]) == [900]


def test_a_halt_drops_the_slices_that_have_not_left_and_calls_off_the_others() -> None:
    trader = engine(big(max_orders_per_second=2))
    first, second = enter(trader)
    trader.process(HaltTrading(ts=at("10:00:00.5"), command_id="h", reason="drill"))
    effects = wake(trader)  # the order rate held the cancels back too
    assert (orders(effects), cancels(effects)) == ([], [first.order_id, second.order_id])
    cancelled(trader, first, "10:00:02")
    cancelled(trader, second, "10:00:02")
    assert trader.state.orders == {}
    assert trader.state.wake_at is None


def test_a_slice_does_not_leave_while_the_feed_is_down_nor_once_the_signal_is_old() -> None:
    trader = engine(big(max_orders_per_second=2))
    enter(trader)
    trader.process(FeedChanged(ts=at("10:00:00.5"), up=False))
    assert orders(wake(trader)) == []
    (slot,) = trader.state.slots.values()
    assert slot.entry is not None
    assert slot.entry.unsent == 0


def test_an_exit_leaves_in_slices_and_the_refused_one_is_sent_again() -> None:
    trader = engine(big())
    for order in enter(trader):
        fill(trader, order, "100")
    closes = orders(trader.process(SquareOff(ts=at("10:00:05"), command_id="sq")))
    assert sizes(closes) == [900, 900, 300]
    assert all(order.reduce_only for order in closes)
    reject(trader, closes[1], "10:00:05")
    fill(trader, closes[0], "101", "10:00:05")
    assert orders(fill(trader, closes[2], "101", "10:00:05")) == []
    (again,) = orders(wake(trader))
    assert (again.quantity, again.order_id in {order.order_id for order in closes}) == (900, False)
    closed = data_of(fill(trader, again, "102", "10:00:07"), "POSITION_CLOSED")
    assert closed["realised_pnl"] == str(900 * 1 + 300 * 1 + 900 * 2)


def test_the_daily_number_of_orders_counts_every_slice() -> None:
    trader = engine(big(max_orders_per_day=2))
    effects = arrive(trader, signal(Side.LONG, instrument=FROZEN))
    assert data_of(effects, "SIGNAL_SKIPPED")["detail"] == "max_orders_per_day 2, sent 0, wanted 3 more"


def test_an_entry_under_way_counts_as_held_for_the_other_subscriptions() -> None:
    """2,100 units at 100 are 210,000 of the 220,000 allowed, though nothing of them has filled yet."""
    other = Subscription(timeframe=Timeframe.M5, sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(120)))
    settings = big(max_orders_per_second=2)
    risk = msgspec.structs.replace(settings.risk, max_notional=Decimal(220_000))
    trader = engine(msgspec.structs.replace(settings, risk=risk, subscriptions=(*settings.subscriptions, other)))
    assert sizes(enter(trader)) == [900, 900]
    wake(trader)
    assert said(arrive(trader, signal(Side.LONG, "10:00:03", strategy_key=other.key))) == ["SIGNAL", "SIGNAL_SKIPPED"]
