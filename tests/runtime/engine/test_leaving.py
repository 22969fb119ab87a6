from datetime import time, timedelta
from decimal import Decimal

import pytest

from runtime.events import LossLimitTouched, SquareOff, StopSession, TimeAdvanced, Unwatch, WakeAt, Watch
from runtime.orders import OrderAbsent, OrderCancelled, OrderRejected, OrderUnknown
from runtime.session import ExitMode, OnBreach, Protection, RiskLimits
from runtime.signals import OrderSide, Side
from runtime.state import SlotPhase
from tests.builders import (
    SUBSCRIPTION,
    arrive,
    at,
    config,
    data_of,
    engine,
    fill,
    in_trade,
    orders,
    percent,
    points,
    said,
    signal,
    touch,
)


def watch_after_entry(protection: Protection, *, limit: str | None = None, price: str = "100") -> Watch:
    risk = RiskLimits(max_daily_loss=None if limit is None else Decimal(limit))
    trader = engine(config(protection=protection, risk=risk))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    watches = [effect for effect in fill(trader, entry, price) if isinstance(effect, Watch)]
    return watches[-1]


def test_an_entry_watches_the_signals_stop_and_target() -> None:
    watch = watch_after_entry(Protection())
    assert (watch.low, watch.high) == (80.0, 130.0)


@pytest.mark.parametrize(
    ("protection", "low", "high"),
    [
        (Protection(stop=points("5"), target=points("10")), 95.0, 110.0),
        (Protection(stop=percent("25"), target=percent("50")), 75.0, 150.0),
        (Protection(exit_mode=ExitMode.SIGNAL_ONLY, stop=points("5")), None, None),
        (Protection(stop=points("20"), target=points("40"), trail=points("10")), 90.0, 101.0),  # trail 100-10; ratchet step 10/10
    ],
)
def test_levels_come_from_the_users_protection_before_the_signal(protection: Protection, low: float, high: float) -> None:
    watch = watch_after_entry(protection)
    assert (watch.low, watch.high) == (low, high)


def test_the_daily_loss_limit_is_watched_as_a_price() -> None:
    watch = watch_after_entry(Protection(), limit="300")  # 300 / 30 units = 10 points below 100
    assert watch.low == 90.0


def test_a_touched_stop_sends_a_reduce_only_market_order_and_reports_the_loss() -> None:
    trader = in_trade()
    effects = touch(trader, 79.9)
    (close,) = orders(effects)
    assert said(effects) == ["EXIT_ALERT", "ORDER_SUBMITTED"]
    assert close.reduce_only
    assert trader.state.slots[SUBSCRIPTION.key].phase is SlotPhase.EXITING
    closed = data_of(fill(trader, close, "79.5", "10:05"), "POSITION_CLOSED")
    assert (closed["exit_reason"], closed["exit_price"], closed["realised_pnl"]) == ("SL", "79.5", "-615.0")  # (79.5-100)*30
    assert trader.state.realised_today == Decimal("-615.0")


def test_a_touched_target_takes_the_profit() -> None:
    trader = in_trade()
    (close,) = orders(touch(trader, 130.0))
    assert data_of(fill(trader, close, "130", "10:05"), "POSITION_CLOSED")["exit_reason"] == "TP"


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back() -> None:
    trader = in_trade(config(protection=Protection(trail=points("10"), target=points("100"))))
    watch = [effect for effect in touch(trader, 112.0) if isinstance(effect, Watch)][-1]
    assert (watch.low, watch.high) == (102.0, 113.0)
    (close,) = orders(touch(trader, 101.5))
    assert data_of(fill(trader, close, "101.5", "10:06"), "POSITION_CLOSED")["exit_reason"] == "TRAIL"


def test_a_second_touch_while_the_exit_is_in_flight_does_nothing() -> None:
    trader = in_trade()
    assert len(orders(touch(trader, 79.0))) == 1
    assert touch(trader, 70.0) == []


def test_the_position_is_squared_off_by_the_clock() -> None:
    trader = engine(config(protection=Protection(square_off=time(15, 15))))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    assert trader.state.wake_at == at("15:15")
    fill(trader, entry, "100")
    effects = trader.process(TimeAdvanced(ts=at("15:15")))
    (close,) = orders(effects)
    effects = fill(trader, close, "101", "15:15")
    assert data_of(effects, "POSITION_CLOSED")["exit_reason"] == "TIME"
    assert [effect for effect in effects if isinstance(effect, WakeAt)] == []
    assert trader.state.wake_at is None


def test_the_longest_holding_time_closes_earlier_than_the_clock() -> None:
    trader = in_trade(config(protection=Protection(max_hold=timedelta(minutes=20))))
    assert trader.state.wake_at == at("10:20")
    assert orders(trader.process(TimeAdvanced(ts=at("10:20"))))


def test_a_rejected_exit_is_tried_again_under_a_new_id_until_the_position_is_closed() -> None:
    trader = in_trade()
    (first,) = orders(touch(trader, 79.0, "10:05:00"))
    effects = trader.process(OrderRejected(ts=at("10:05:00"), order_id=first.order_id, reason="price band"))
    assert said(effects) == ["ORDER_REJECTED", "EXIT_ALERT"]
    assert trader.state.wake_at == at("10:05:01")
    (second,) = orders(trader.process(TimeAdvanced(ts=at("10:05:01"))))
    assert second.order_id != first.order_id
    assert data_of(fill(trader, second, "78", "10:05:01"), "POSITION_CLOSED")["exit_reason"] == "SL"


def test_an_exit_beyond_the_order_rate_waits_and_is_not_dropped() -> None:
    trader = in_trade(config(risk=RiskLimits(max_orders_per_second=1)))
    assert orders(trader.process(SquareOff(ts=at("10:00:00.5"), command_id="sq"))) == []
    assert trader.state.wake_at == at("10:00:01")
    (close,) = orders(trader.process(TimeAdvanced(ts=at("10:00:01"))))
    assert close.reduce_only


def test_the_daily_loss_limit_halts_closes_and_lifts_on_the_next_day() -> None:
    trader = in_trade(config(risk=RiskLimits(max_daily_loss=Decimal(300))))
    effects = touch(trader, 90.0)
    assert "RISK_HALT" in said(effects)
    (close,) = orders(effects)
    assert data_of(fill(trader, close, "89.5", "10:05"), "POSITION_CLOSED")["exit_reason"] == "RISK_HALT"
    assert data_of(arrive(trader, signal(Side.LONG, "10:30")), "SIGNAL_SKIPPED")["reason"] == "risk_limit"
    tomorrow = at("10:00", at("10:00").date() + timedelta(days=1))
    effects = arrive(trader, signal(Side.LONG, ts=tomorrow))
    assert said(effects)[:1] == ["RISK_RESUMED"]
    assert len(orders(effects)) == 1


def test_a_user_may_keep_positions_on_a_loss_halt() -> None:
    trader = in_trade(config(risk=RiskLimits(max_daily_loss=Decimal(300), on_breach=OnBreach.KEEP)))
    effects = touch(trader, 90.0)
    assert orders(effects) == []
    (watch,) = [effect for effect in effects if isinstance(effect, Watch)]
    assert watch.low == 80.0  # the stop itself is still watched


def test_joint_marks_of_all_positions_can_reach_the_limit() -> None:
    trader = in_trade(config(risk=RiskLimits(max_daily_loss=Decimal(300))))
    marks = {"NSE:BANKNIFTY26NOV52000CE": 90.0}
    assert trader.loss_limit_reached(marks)
    assert "RISK_HALT" in said(trader.process(LossLimitTouched(ts=at("10:05"), marks=marks)))


def test_stop_with_close_flattens_and_stop_with_keep_leaves_the_stop_watched() -> None:
    trader = in_trade()
    effects = trader.process(StopSession(ts=at("10:05"), command_id="c1", positions=OnBreach.CLOSE))
    assert said(effects) == ["COMMAND_ACCEPTED", "ORDER_SUBMITTED", "SESSION_STOPPED"]
    keeper = in_trade()
    assert orders(keeper.process(StopSession(ts=at("10:05"), command_id="c2"))) == []
    assert not keeper.state.is_idle
    (close,) = orders(touch(keeper, 79.0))
    fill(keeper, close, "79", "10:05")
    assert keeper.state.is_idle


def test_a_part_filled_entry_that_must_leave_is_cancelled_first_and_then_closed() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    fill(trader, entry, "100", quantity=15)
    effects = touch(trader, 79.0)
    assert orders(effects) == []
    effects = trader.process(OrderCancelled(ts=at("10:05"), order_id=entry.order_id))
    (close,) = orders(effects)
    assert close.quantity == Decimal(15)


def test_a_closed_position_is_no_longer_watched() -> None:
    trader = in_trade()
    (close,) = orders(touch(trader, 79.0))
    assert Unwatch(SUBSCRIPTION.key) in fill(trader, close, "79", "10:05")


def test_an_exit_that_never_arrived_is_sent_again_at_once() -> None:
    trader = in_trade()
    (lost,) = orders(touch(trader, 79.0))
    trader.process(OrderUnknown(ts=at("10:05:01"), order_id=lost.order_id, reason="timeout"))
    effects = trader.process(OrderAbsent(ts=at("10:05:03"), order_id=lost.order_id))
    (again,) = orders(effects)
    assert (again.quantity, again.created_at) == (lost.quantity, at("10:05:03"))
    assert again.order_id != lost.order_id
    assert "EXIT_ALERT" in said(effects)


def test_an_exit_that_was_given_up_and_fills_all_the_same_is_made_good() -> None:
    trader = in_trade()
    (lost,) = orders(touch(trader, 79.0))
    trader.process(OrderUnknown(ts=at("10:05:01"), order_id=lost.order_id, reason="timeout"))
    (again,) = orders(trader.process(OrderAbsent(ts=at("10:05:03"), order_id=lost.order_id)))
    fill(trader, again, "78", "10:05:04")
    effects = fill(trader, lost, "77", "10:05:09")
    (back,) = orders(effects)
    assert (back.side, back.quantity, back.reduce_only) == (OrderSide.BUY, lost.quantity, True)
    assert data_of(effects, "EXIT_ALERT")["rule"] == "SURPLUS"
