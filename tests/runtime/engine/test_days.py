"""What a day counts, what a restart finds, and what is said twice."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from runtime.engine import TradingEngine
from runtime.events import PauseSession, ResumeSession, SignalArrived, StartSession, StopSession, TimeAdvanced, Unsubscribe, Watch
from runtime.session import Protection, RiskLimits
from runtime.signals import Side
from runtime.state import decode_state, encode_state
from tests.builders import SUBSCRIPTION, arrive, at, cancelled, config, data_of, engine, fill, in_trade, orders, points, said, signal, touch

NEXT = date(2026, 11, 23)


def test_a_new_day_gives_the_days_orders_and_trades_back() -> None:
    one_a_day = config(risk=RiskLimits(max_orders_per_day=2), protection=Protection(max_trades_per_day=1))
    trader = in_trade(one_a_day)
    (close,) = orders(arrive(trader, signal(Side.FLAT, "10:10")))
    fill(trader, close, "100", "10:10")
    assert (trader.state.trades_today, trader.state.window.today, trader.state.slots[SUBSCRIPTION.key].trades_today) == (1, 2, 1)
    assert orders(arrive(trader, signal(Side.LONG, "10:20"))) == []

    assert len(orders(arrive(trader, signal(Side.LONG, ts=at("10:00", NEXT))))) == 1
    assert (trader.state.trades_today, trader.state.window.today, trader.state.slots[SUBSCRIPTION.key].trades_today) == (1, 1, 1)


def test_late_news_of_the_day_before_does_not_turn_the_day_back() -> None:
    trader = in_trade()
    trader.process(TimeAdvanced(ts=at("09:15", NEXT)))
    trader.state.trades_today = 7
    trader.process(TimeAdvanced(ts=at("15:29")))
    trader.process(TimeAdvanced(ts=at("09:16", NEXT)))
    assert (trader.state.day, trader.state.trades_today) == (NEXT, 7)


def test_the_first_day_lifts_nothing() -> None:
    trader = engine()
    assert trader.state.day == date(2026, 11, 20)
    assert said(trader.process(TimeAdvanced(ts=at("09:16")))) == []


def test_a_days_unfilled_orders_are_forgotten_with_it() -> None:
    trader = engine()
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    trader.process(PauseSession(ts=at("10:01"), command_id="p"))
    cancelled(trader, entry, "10:01")
    assert len(trader.state.unfilled) == 1
    trader.process(TimeAdvanced(ts=at("09:15", NEXT)))
    assert trader.state.unfilled == []


def test_a_command_said_twice_is_done_once_and_thirty_two_are_remembered() -> None:
    trader = engine()
    assert said(trader.process(PauseSession(ts=at("10:00"), command_id="p")))[-1] == "SESSION_PAUSED"
    assert trader.process(PauseSession(ts=at("10:00"), command_id="p")) == []
    for number in range(31):
        trader.process(ResumeSession(ts=at("10:01"), command_id=f"r{number}"))
    assert trader.process(PauseSession(ts=at("10:02"), command_id="p")) == []
    trader.process(ResumeSession(ts=at("10:03"), command_id="one too many"))
    assert said(trader.process(PauseSession(ts=at("10:04"), command_id="p")))[-1] == "SESSION_PAUSED"
    assert len(trader.state.recent_commands) == 32


def restored(trader: TradingEngine) -> TradingEngine:
    return TradingEngine(decode_state(encode_state(trader.state)))


def test_a_restart_watches_what_is_held_and_not_what_is_leaving() -> None:
    trader = in_trade()
    assert [(each.low, each.high) for each in restored(trader).restore_watches() if isinstance(each, Watch)] == [(80.0, 130.0)]
    touch(trader, 79.0)
    assert restored(trader).restore_watches() == []
    assert restored(engine()).restore_watches() == []


def test_a_signal_that_was_seen_is_known_after_a_restart_and_an_older_one_is_too_late() -> None:
    trader = in_trade()
    again = restored(trader)
    assert again.has_seen(signal(Side.LONG, "10:00"))
    assert again.has_seen(signal(Side.SHORT, "09:59"))
    assert not again.has_seen(signal(Side.SHORT, "10:00"))  # another of the same moment
    assert not again.has_seen(signal(Side.SHORT, "10:01"))
    assert not again.has_seen(signal(Side.SHORT, "09:59", strategy_key="another"))


def test_a_stopped_trader_hears_no_signal_unless_it_holds_something() -> None:
    flat, holder = engine(), in_trade()
    for trader in (flat, holder):
        trader.process(StopSession(ts=at("10:05"), command_id="s"))
    assert arrive(flat, signal(Side.LONG, "10:10")) == []
    effects = arrive(holder, signal(Side.FLAT, "10:10"))
    assert [order.reduce_only for order in orders(effects)] == [True]


def test_a_subscription_that_was_left_in_a_trade_is_forgotten_when_it_is_flat() -> None:
    trader = in_trade()
    trader.process(Unsubscribe(ts=at("10:05"), command_id="u", key=SUBSCRIPTION.key))
    assert list(trader.state.slots) == [SUBSCRIPTION.key]
    (close,) = orders(touch(trader, 79.0))
    fill(trader, close, "79", "10:05")
    assert trader.state.slots == {}


def test_a_trailing_stop_that_moves_is_told_with_the_best_price() -> None:
    trader = in_trade(config(protection=Protection(trail=points("10"), target=points("100"))))
    effects = touch(trader, 101.0)
    assert data_of(effects, "POSITION_CHANGED")["best_price"] == "101.0"
    assert said(touch(trader, 101.5)) == []  # less than a tenth of the distance


@pytest.mark.parametrize(("price", "priority"), [(79.0, "CRITICAL"), (131.0, "HIGH")])
def test_a_stop_is_more_urgent_than_a_target(price: float, priority: str) -> None:
    assert data_of(touch(in_trade(), price), "EXIT_ALERT")["priority"] == priority


@pytest.mark.parametrize(("seconds", "entered"), [(90, True), (90.001, False)])
def test_a_signal_is_good_for_ninety_seconds(seconds: float, entered: bool) -> None:
    effects = engine().process(SignalArrived(ts=at("10:00") + timedelta(seconds=seconds), signal=signal(Side.LONG, "10:00")))
    assert bool(orders(effects)) == entered


@pytest.mark.parametrize(("clock", "entered"), [("15:14:59", True), ("15:15", False)])
def test_nothing_is_entered_from_the_square_off_time_on(clock: str, entered: bool) -> None:
    assert bool(orders(arrive(engine(), signal(Side.LONG, clock)))) == entered


def test_a_daily_loss_calls_off_entries_that_work_and_is_said_once() -> None:
    trader = engine(config(risk=RiskLimits(max_daily_loss=Decimal(300))))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    fill(trader, entry, "100", quantity=20)
    effects = touch(trader, 85.0)  # 20 units lose 300
    assert said(effects).count("RISK_HALT") == 1
    assert trader.state.orders[entry.order_id].cancel_sent
    assert "RISK_HALT" not in said(touch(trader, 84.0))


def test_starting_a_running_session_again_changes_its_settings_only() -> None:
    trader = in_trade()
    effects = trader.process(StartSession(ts=at("10:05"), command_id="again", config=config(capital=Decimal(7))))
    assert said(effects) == ["COMMAND_ACCEPTED"]
    assert data_of(effects, "COMMAND_ACCEPTED")["updated"] is True
    assert trader.state.config.capital == 7
