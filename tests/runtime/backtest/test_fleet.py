"""Everybody in a fleet has what a backtest of his own would have given him, to the last digit."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from runtime.backtest.fleet import FleetUser, run_fleet
from runtime.backtest.options import OptionMarket, OptionTerms, weekday_expiries
from runtime.backtest.result import BacktestSpec, FillModel, Slippage
from runtime.backtest.run import run_backtest
from runtime.errors import InvalidConfig
from runtime.session import Protection, RiskLimits, SessionConfig, Sizing, SizingMethod
from strategies import create
from tests.builders import percent
from tests.runtime.backtest.samples import NO_LIMITS, SIGNALS_ONLY, spec, walk
from tests.runtime.backtest.test_options import INDEX, scalper


def user(
    name: str, shared: BacktestSpec, *, sizing: Sizing, risk: RiskLimits = NO_LIMITS, protection: Protection = SIGNALS_ONLY, **more: Any
) -> FleetUser:
    subscription = structs.replace(shared.subscription, sizing=sizing, protection=protection)
    return FleetUser(user_id=name, session=structs.replace(shared.session, subscriptions=(subscription,), risk=risk, **more))


def fixed(quantity: str) -> Sizing:
    return Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity))


def by_risk(fraction: str, leverage: str = "1") -> Sizing:
    return Sizing(method=SizingMethod.FIXED_RISK, risk_per_trade=Decimal(fraction), leverage=Decimal(leverage))


def crowd(shared: BacktestSpec) -> list[tuple[FleetUser, bool]]:
    """Users of every kind, and whether each must have an engine of his own."""
    return [
        (user("plain", shared, sizing=fixed("1")), False),
        (user("larger", shared, sizing=fixed("7"), fees="none", capital=Decimal(50_000_000)), False),
        (user("rounded down", shared, sizing=fixed("2.9")), False),
        (user("by capital", shared, sizing=by_risk("0.25"), capital=Decimal(800_000)), False),
        (user("leveraged", shared, sizing=by_risk("0.5", "3"), fees="flat:0.00111", capital=Decimal(437_123)), False),
        (
            user(
                "limit out of reach", shared, sizing=fixed("1"), risk=RiskLimits(max_daily_loss=Decimal(100_000), max_orders_per_day=10_000)
            ),
            False,
        ),
        (
            user("limit that binds", shared, sizing=fixed("3"), risk=RiskLimits(max_daily_loss=Decimal(900), max_orders_per_day=10_000)),
            True,
        ),
        (user("by range", shared, sizing=Sizing(method=SizingMethod.VOLATILITY_TARGET), capital=Decimal(300_000)), True),
        (user("few trades a day", shared, sizing=fixed("1"), protection=structs.replace(SIGNALS_ONLY, max_trades_per_day=4)), True),
        (user("usual order limit", shared, sizing=fixed("1"), risk=RiskLimits(max_daily_loss=None, max_orders_per_day=6)), True),
        (user("too poor at times", shared, sizing=by_risk("1"), capital=Decimal(30_100)), True),
        (user("with a stop", shared, sizing=fixed("1"), protection=Protection(stop=percent("0.5"), square_off=time(15, 15))), True),
        (user("indian fees", shared, sizing=fixed("1"), fees="indian_options"), True),
    ]


@pytest.mark.parametrize("shared", [spec(), spec(fill=FillModel.CLOSE, slippage=Slippage(ticks=2))], ids=["next open", "close"])
def test_every_user_has_the_trades_money_and_equity_of_a_backtest_of_his_own(shared: BacktestSpec) -> None:
    candles, people = walk(6_000, seed=17), crowd(shared)
    fleet = run_fleet(shared, [one for one, _ in people], candles, lambda: create("ema_cross"))
    assert fleet.users == tuple(one.user_id for one, _ in people)
    assert dict(zip(fleet.users, fleet.by_engine.tolist(), strict=True)) == {one.user_id: needs for one, needs in people}
    for row, (one, _) in enumerate(people):
        alone = run_backtest(structs.replace(shared, session=one.session, user_id=one.user_id), candles, create("ema_cross"))
        assert (fleet.trades[row], fleet.net[row]) == (alone.metrics.trades, pytest.approx(alone.metrics.net_profit, abs=1e-6)), one.user_id
        assert fleet.gross[row] == pytest.approx(alone.metrics.gross_profit, abs=1e-6)
        assert fleet.fees[row] == pytest.approx(alone.metrics.fees, abs=1e-6)
        assert np.array_equal(fleet.equity[row], alone.equity.equity), one.user_id


def test_a_fleet_on_options_has_engines_that_share_one_strategy() -> None:
    index = walk(375 * 4, seed=2)
    options = OptionMarket(index, OptionTerms(expiries=weekday_expiries(index)), np.full(len(index), 0.2))
    shared = scalper()
    runs: list[int] = []

    def strategy() -> Any:
        runs.append(1)
        return create("index_options_scalper")

    protection = shared.subscription.protection
    people = [user(f"u{number}", shared, sizing=fixed(str(15 * number)), protection=protection) for number in (1, 2, 30)]
    fleet = run_fleet(shared, people, index, strategy, options=options)
    assert fleet.by_engine.all()
    assert len(runs) <= 2  # not one per user
    for row, one in enumerate(people):
        alone = run_backtest(structs.replace(shared, session=one.session), index, create("index_options_scalper"), options=options)
        assert np.array_equal(fleet.equity[row], alone.equity.equity)
    assert INDEX.id == shared.instrument.id


def test_a_user_who_wants_another_strategy_is_refused() -> None:
    other = structs.replace(spec().session, subscriptions=SessionConfig().subscriptions)
    with pytest.raises(InvalidConfig, match="must subscribe"):
        run_fleet(spec(), [FleetUser(user_id="u", session=other)], walk(50), lambda: create("ema_cross"))
