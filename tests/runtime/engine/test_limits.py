"""Limits that look at all of a user's positions and working entries together."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from runtime.engine import TradingEngine
from runtime.events import Effect, SignalArrived
from runtime.market import Timeframe
from runtime.orders import OrderAbsent, OrderUnknown
from runtime.session import Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import Side
from tests.builders import FUTURE, ONE_LOT, arrive, at, config, data_of, engine, fill, option, orders, points, signal, wake

FIRST = Subscription(sizing=ONE_LOT)
SECOND = Subscription(sizing=ONE_LOT, timeframe=Timeframe.M5)


def pair(**limits: Any) -> TradingEngine:
    """A trader with 100,000 that follows two strategies, 30 units each."""
    risk = RiskLimits(max_daily_loss=None, **limits)
    return engine(SessionConfig(subscriptions=(FIRST, SECOND), risk=risk, fees="none", capital=Decimal(100_000)))


def first(trader: TradingEngine, **changes: Any) -> list[Effect]:
    return arrive(trader, signal(Side.LONG, strategy_key=FIRST.key, **changes))


def second(trader: TradingEngine, clock: str = "10:01", **changes: Any) -> list[Effect]:
    return arrive(trader, signal(Side.LONG, clock, strategy_key=SECOND.key, **changes))


def skipped(effects: list[Effect]) -> tuple[str, str]:
    data = data_of(effects, "SIGNAL_SKIPPED")
    return data["reason"], data["detail"]


@pytest.mark.parametrize(("fraction", "allowed"), [("0.012", True), ("0.0119", False)])
def test_the_heat_of_all_positions_is_the_loss_at_their_stops(fraction: str, allowed: bool) -> None:
    """Two times 30 units with the stop 20 below: 600 each, 1,200 of 100,000 together."""
    trader = pair(max_portfolio_heat=Decimal(fraction))
    (entry,) = orders(first(trader))
    fill(trader, entry, "100")
    effects = second(trader)
    assert (orders(effects) != []) is allowed
    if not allowed:
        assert skipped(effects) == ("risk_limit", "max_portfolio_heat 0.0119 of 100000, wanted 1200.00 at the stops")


def test_an_entry_under_way_heats_the_portfolio_before_it_fills() -> None:
    trader = pair(max_portfolio_heat=Decimal("0.0119"))
    first(trader)
    assert skipped(second(trader))[0] == "risk_limit"


def test_a_trailing_stop_above_the_entry_takes_the_heat_out_again() -> None:
    """At 130 the stop trails at 110: nothing of the first position can be lost, so that the second fits."""
    trailing = Subscription(sizing=ONE_LOT, protection=Protection(trail=points("20"), target=points("500")))
    risk = RiskLimits(max_daily_loss=None, max_portfolio_heat=Decimal("0.0119"))
    trader = engine(SessionConfig(subscriptions=(trailing, SECOND), risk=risk, fees="none", capital=Decimal(100_000)))
    (entry,) = orders(arrive(trader, signal(Side.LONG, strategy_key=trailing.key)))
    fill(trader, entry, "100")
    (position,) = trader.state.open_positions
    position.best_price = Decimal(130)
    assert len(orders(second(trader))) == 1


def test_a_position_without_a_stop_counts_whole() -> None:
    """30 units at 100 without a stop: 3,000 of 100,000."""
    trader = pair(max_portfolio_heat=Decimal("0.03"))
    (entry,) = orders(first(trader, stop=None))
    fill(trader, entry, "100")
    assert skipped(second(trader)) == ("risk_limit", "max_portfolio_heat 0.03 of 100000, wanted 3600.00 at the stops")


def test_an_entry_far_from_the_last_trade_is_refused() -> None:
    """The ask of 130 is 30 % above the last trade at 100; the collar allows 20 %."""
    trader = pair()
    assert skipped(first(trader, contract_ask=130.0)) == ("risk_limit", "price_collar_percent 20: 130.00 against the last trade at 100.0")
    assert len(orders(first(trader, clock="10:02", contract_ask=120.0))) == 1


def test_the_last_trade_that_the_host_knows_counts_more_than_the_one_in_the_signal() -> None:
    trader = pair()
    late = signal(Side.LONG, strategy_key=FIRST.key)
    assert skipped(trader.process(SignalArrived(ts=late.ts, signal=late, last_price=70.0)))[0] == "risk_limit"


def test_without_a_collar_any_price_goes() -> None:
    assert len(orders(first(pair(price_collar_percent=None), contract_ask=500.0))) == 1


def test_the_same_trade_by_another_way_is_a_duplicate_for_a_moment() -> None:
    trader = pair(duplicate_window=timedelta(seconds=10))
    first(trader)
    assert skipped(second(trader, "10:00:09"))[0] == "duplicate"
    assert len(orders(second(trader, "10:00:10"))) == 1


@pytest.mark.parametrize("changes", [{"instrument": option(52100)}, {"side": Side.SHORT, "instrument": FUTURE}])
def test_another_contract_or_side_is_no_duplicate(changes: dict[str, Any]) -> None:
    trader = pair(duplicate_window=timedelta(seconds=10))
    first(trader)
    other = signal(changes.get("side", Side.LONG), "10:00:01", strategy_key=SECOND.key, instrument=changes["instrument"])
    assert len(orders(arrive(trader, other))) == 1


def test_an_order_of_unknown_fate_blocks_its_instrument_and_counts_as_held() -> None:
    trader = pair(max_open_positions=2, max_notional=Decimal(6000))
    (lost,) = orders(first(trader))
    trader.process(OrderUnknown(ts=at("10:00:02"), order_id=lost.order_id, reason="timeout"))
    assert skipped(second(trader))[1] == f"the outcome of an earlier order of {option().id} is unknown"
    dear = second(trader, "10:02", instrument=option(52100), contract_price=100.1, contract_ask=100.1)
    assert skipped(dear) == ("risk_limit", "max_notional 6000, wanted 6003.00")  # 30 × 100 reserved + 30 × 100.10
    assert len(orders(second(trader, "10:03", instrument=option(52100)))) == 1


def test_once_the_fate_is_settled_the_instrument_is_free_again() -> None:
    trader = pair()
    (lost,) = orders(first(trader))
    trader.process(OrderUnknown(ts=at("10:00:02"), order_id=lost.order_id, reason="timeout"))
    trader.process(OrderAbsent(ts=at("10:02:30"), order_id=lost.order_id))
    assert len(orders(second(trader, "10:03"))) == 1


def test_entries_under_way_count_as_open_positions() -> None:
    trader = pair(max_open_positions=1)
    first(trader)
    assert skipped(second(trader)) == ("risk_limit", "max_open_positions 1, open 1")


# --- days to expiry; the contracts of these tests expire on 2026-11-24, the day is the 20th ---


@pytest.mark.parametrize(("days", "reason"), [(4, "EXPIRY"), (3, "TIME")])
def test_a_contract_is_left_at_the_square_off_time_of_its_last_day(days: int, reason: str) -> None:
    trader = engine(config(protection=Protection(min_days_to_expiry=days)))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    fill(trader, entry, "100")
    assert trader.state.wake_at == at("15:15")
    (close,) = orders(wake(trader))
    assert data_of(fill(trader, close, "100", "15:15"), "POSITION_CLOSED")["exit_reason"] == reason


def test_a_position_that_is_held_overnight_is_left_before_its_expiry() -> None:
    trader = engine(config(protection=Protection(square_off=None, min_days_to_expiry=1)))
    (entry,) = orders(arrive(trader, signal(Side.LONG)))
    fill(trader, entry, "100")
    assert trader.state.wake_at == at("15:15", at("10:00").date() + timedelta(days=3))


def test_a_contract_too_near_its_expiry_is_not_entered() -> None:
    trader = engine(config(protection=Protection(square_off=None, min_days_to_expiry=5)))
    assert skipped(arrive(trader, signal(Side.LONG)))[0] == "expiry"


# --- volatility target ---


VOLATILITY = config(sizing=Sizing(method=SizingMethod.VOLATILITY_TARGET, risk_per_trade=Decimal("0.02")), capital=Decimal(100_000))


def test_a_volatility_target_takes_the_contracts_own_average_true_range() -> None:
    """100,000 × 0.02 / (12.5 × 2) = 80 units: two lots of 30."""
    (order,) = orders(arrive(engine(VOLATILITY), signal(Side.LONG, atr=12.5)))
    assert order.quantity == Decimal(60)


@pytest.mark.parametrize("changes", [{}, {"context": {"atr": 12.5}}, {"atr": 0.0}, {"atr": float("inf")}])
def test_without_the_contracts_own_range_there_is_no_order(changes: dict[str, Any]) -> None:
    """An indicator of the strategy's is of what it looks at, whatever it trades."""
    reason, detail = skipped(arrive(engine(VOLATILITY), signal(Side.LONG, **changes)))
    assert reason == "no_atr"
    assert (
        detail
        == "sizing volatility_target needs the ATR of NSE:BANKNIFTY26NOV52000CE: 15 candles of NSE:BANKNIFTY and, for an option, its price"
    )
