"""The screening lane gives the exact lane's trade list, trade by trade, to the last digit."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestSpec, FillModel, Lane, Slippage
from runtime.backtest.run import run_backtest
from runtime.backtest.screening import Screen
from runtime.backtest.ticks import in_ticks
from runtime.errors import InvalidConfig
from runtime.exits import decimal_price
from runtime.market import Instrument, InstrumentKind, Timeframe
from runtime.metrics import daily_returns, sharpe_ratio
from runtime.session import ExitMode, Level, LevelUnit, Protection, Sizing, SizingMethod
from strategies import create
from strategies.ema_cross import EmaCross
from tests.runtime.backtest.samples import COIN, FUTURE, SIGNALS_ONLY, Scripted, spec, walk

_NAMED = ("rule", "exit_reason", "instrument")


def assert_lanes_agree(asked: BacktestSpec, candles: CandleArray, parameters: dict[str, Any] | None = None) -> int:
    """Every column of every trade, the equity of every day and all figures; returns the number of trades."""
    exact, screened = (
        run_backtest(structs.replace(asked, lane=lane), candles, create("ema_cross", parameters)) for lane in (Lane.EXACT, Lane.SCREENING)
    )
    for name in exact.trades.__struct_fields__:
        mine, theirs = getattr(exact.trades, name), getattr(screened.trades, name)
        if name not in {"rules", "exit_reasons", "instruments", *_NAMED}:
            assert np.array_equal(mine, theirs), name
    assert [(t.rule, t.exit_reason, t.instrument) for t in exact.trades] == [(t.rule, t.exit_reason, t.instrument) for t in screened.trades]
    assert np.array_equal(exact.equity.equity, screened.equity.equity)
    assert exact.metrics == screened.metrics
    return len(exact.trades)


@pytest.mark.parametrize("fill", FillModel)
@pytest.mark.parametrize("close_at_end", [True, False])
def test_both_lanes_give_the_same_trades(fill: FillModel, close_at_end: bool) -> None:
    assert assert_lanes_agree(spec(fill=fill, close_at_end=close_at_end, slippage=Slippage(ticks=1)), walk(10_000, seed=2)) > 300


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 700),
    quantity=st.sampled_from(["1", "15", "0.01", "2.5"]),
    rate=st.sampled_from(["none", "flat:0.0003", "flat:0.00125", "flat:0.000123"]),
    slow=st.integers(3, 40),
)
def test_both_lanes_agree_on_any_market(seed: int, count: int, quantity: str, rate: str, slow: int) -> None:
    coin = structs.replace(COIN, lot_size=Decimal("0.01"))
    candles = walk(count, seed=seed, instrument=coin, start=97.3, minutes_a_day=1440)
    assert_lanes_agree(spec(instrument=coin, quantity=quantity, fees=rate), candles, {"fast_period": 2, "slow_period": slow})


def level(unit: LevelUnit, value: str) -> Level:
    return Level(unit=unit, value=Decimal(value))


NEAR, FAR = level(LevelUnit.PERCENT, "0.1"), level(LevelUnit.PERCENT, "0.25")
_DISTANCES = (
    st.none()
    | st.builds(level, st.just(LevelUnit.PERCENT), st.sampled_from(["0.07", "0.1", "0.33", "1"]))
    | st.builds(level, st.just(LevelUnit.POINTS), st.sampled_from(["0.03", "0.05", "0.125", "1.7"]))
)


@pytest.mark.parametrize("fill", FillModel)
@pytest.mark.parametrize(("stop", "target"), [(NEAR, FAR), (NEAR, None), (None, NEAR), (level(LevelUnit.POINTS, "33.33"), FAR)])
def test_both_lanes_leave_at_the_same_stops_and_targets(fill: FillModel, stop: Level | None, target: Level | None) -> None:
    guarded = Protection(stop=stop, target=target, square_off=None)
    asked = spec(fill=fill, protection=guarded, slippage=Slippage(ticks=1))
    assert assert_lanes_agree(asked, walk(10_000, seed=3)) > 600
    assert run_backtest(asked, walk(10_000, seed=3), create("ema_cross")).trades.exit_reasons.count("SL" if stop else "TP") == 1


def test_a_stop_and_a_target_at_prices_of_their_own_are_the_same_in_both_lanes() -> None:
    absolute = Protection(stop=level(LevelUnit.ABSOLUTE, "29500"), target=level(LevelUnit.ABSOLUTE, "30500"), square_off=None)
    assert assert_lanes_agree(spec(protection=absolute), walk(3_000, seed=4)) > 100


@pytest.mark.parametrize("method", [SizingMethod.FIXED_RISK, SizingMethod.LEVERAGED_RISK])
@pytest.mark.parametrize("protection", [SIGNALS_ONLY, Protection(stop=NEAR, target=FAR, square_off=None)])
def test_both_lanes_size_by_risk_alike(method: SizingMethod, protection: Protection) -> None:
    sizing = Sizing(method=method, risk_per_trade=Decimal("0.0137"), leverage=Decimal(3))
    assert assert_lanes_agree(sized(spec(protection=protection), sizing, capital=Decimal(32_198_765)), walk(6_000, seed=5)) > 150


def test_who_cannot_afford_a_lot_enters_nothing_in_either_lane() -> None:
    """30,000 a unit: a risk of 1 % of 3,000,000 buys one just below that price and none above."""
    asked = sized(spec(), Sizing(method=SizingMethod.FIXED_RISK, risk_per_trade=Decimal("0.01")), capital=Decimal(3_000_000))
    traded = assert_lanes_agree(asked, walk(3_000, seed=9))
    assert 0 < traded < assert_lanes_agree(spec(), walk(3_000, seed=9))


def sized(asked: BacktestSpec, sizing: Sizing, *, capital: Decimal) -> BacktestSpec:
    subscription = structs.replace(asked.subscription, sizing=sizing)
    return structs.replace(asked, session=structs.replace(asked.session, subscriptions=(subscription,), capital=capital))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 500),
    stop=_DISTANCES,
    target=_DISTANCES,
    risk=st.sampled_from([None, "0.003", "0.02", "0.11"]),
    slip=st.integers(0, 3),
    fill=st.sampled_from(FillModel),
    notional=st.sampled_from(["0", "10", "2500"]),
)
def test_both_lanes_agree_on_any_bracket_and_size(
    seed: int, count: int, stop: Level | None, target: Level | None, risk: str | None, slip: int, fill: FillModel, notional: str
) -> None:
    coin = structs.replace(COIN, lot_size=Decimal("0.01"), min_notional=Decimal(notional))
    candles = walk(count, seed=seed, instrument=coin, start=97.3, minutes_a_day=1440)
    guarded = Protection(stop=stop, target=target, square_off=None)
    asked = spec(instrument=coin, quantity="2.5", protection=guarded, slippage=Slippage(ticks=slip), fill=fill)
    if risk is not None:
        asked = sized(asked, Sizing(method=SizingMethod.FIXED_RISK, risk_per_trade=Decimal(risk)), capital=Decimal(10_007))
    assert_lanes_agree(asked, candles, {"fast_period": 2, "slow_period": 6})


@given(
    prices=st.lists(st.floats(0.001, 1e7), min_size=1, max_size=50),
    tick=st.sampled_from(["0.05", "0.01", "0.25", "1", "0.0001", "0.3"]),
    halves=st.lists(st.integers(1, 10**7), max_size=20),
)
def test_prices_become_ticks_as_the_paper_exchange_rounds_them(prices: list[float], tick: str, halves: list[int]) -> None:
    size = Decimal(tick)
    prices = prices + [float((2 * half + 1) * size / 2) for half in halves]
    instrument = Instrument(id="X", kind=InstrumentKind.SPOT, tick_size=size)
    assert in_ticks(np.array(prices), size).tolist() == [int(decimal_price(price, instrument) / size) for price in prices]


def test_a_sweep_says_of_each_parameter_set_what_its_own_run_says() -> None:
    candles, asked = walk(6_000, seed=8), spec(quantity=3)
    sets = [{"fast_period": fast, "slow_period": slow} for fast in (3, 8, 13) for slow in (21, 34)]
    table = Screen(asked, candles).sweep([create("ema_cross", parameters) for parameters in sets])
    for row, parameters in enumerate(sets):
        result = run_backtest(asked, candles, create("ema_cross", parameters))
        assert table.trades[row] == result.metrics.trades
        assert table.wins[row] == result.metrics.wins
        assert (table.net[row], table.gross[row], table.fees[row]) == (
            result.metrics.net_profit,
            result.metrics.gross_profit,
            result.metrics.fees,
        )
        assert table.sharpe[row] == sharpe_ratio(daily_returns(result.equity.equity, 1_000_000.0), 252)
        assert table.max_drawdown_percent[row] == result.metrics.max_drawdown_percent


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"protection": Protection(square_off=None, trail=NEAR)}, "protection.trail"),
        ({"protection": Protection(square_off=None, stop=NEAR, target=FAR, at_broker=True)}, "protection.at_broker"),
        ({"protection": Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=time(15, 15))}, "protection.square_off"),
        ({"slippage": Slippage(random_ticks=1)}, r"--slippage = 'random:1'"),
        ({"slippage_percent": Decimal("0.02")}, r"--slippage = '0.02%': must be in ticks in the screening lane: use --lane exact"),
        ({"fees": "indian_options"}, r"--fees = 'indian_options': must be flat:RATE or none"),
        ({"instrument": Instrument(id=FUTURE.id, kind=InstrumentKind.INDEX)}, "instrument"),
    ],
)
def test_what_the_screening_lane_cannot_do_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig, match=field):
        run_backtest(spec(lane=Lane.SCREENING, **change), walk(50), create("ema_cross"))


def test_levels_that_the_strategy_may_give_are_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmaCross, "gives_levels", True)
    asked = spec(lane=Lane.SCREENING, protection=Protection(square_off=None, stop=NEAR))
    with pytest.raises(InvalidConfig, match="left to the strategy are not known here: give both"):
        run_backtest(asked, walk(50), create("ema_cross"))
    both = structs.replace(asked, session=spec(protection=Protection(square_off=None, stop=NEAR, target=FAR)).session)
    assert len(run_backtest(both, walk(500), create("ema_cross")).trades)


def test_a_strategy_without_a_kernel_is_refused() -> None:

    with pytest.raises(InvalidConfig, match="KernelStrategy"):
        run_backtest(spec("scripted", lane=Lane.SCREENING), walk(50), Scripted({}))


def test_other_timeframes_are_screened_too() -> None:
    hours = structs.replace(walk(3_000, seed=6), timeframe=Timeframe.H1)
    spaced = structs.replace(hours, opened_at=hours.opened_at[0] + np.arange(3_000) * 3_600)
    assert assert_lanes_agree(spec(timeframe=Timeframe.H1), spaced) > 80
