"""Passing over candles that can wake nothing changes nothing, to the last digit."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack, structs

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, BacktestSpec, FillModel, Slippage
from runtime.backtest.run import run_backtest
from runtime.orders import Order, OrderFilled
from runtime.session import ExitMode, OnBreach, Protection, RiskLimits
from runtime.signals import Side
from runtime.strategy import Strategy
from strategies import create
from tests.builders import percent, points
from tests.runtime.backtest.samples import COIN, Scripted, spec, walk

PROTECTIONS = {
    "signals only": Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=None),
    "clock": Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=time(15, 15), max_trades_per_day=7),
    "stop and target": Protection(stop=percent("0.3"), target=percent("0.5"), square_off=time(15, 15)),
    "trail": Protection(stop=percent("0.4"), trail=points("60"), square_off=None, max_hold=timedelta(minutes=90)),
}


def both(make: Any, candles: CandleArray, asked: BacktestSpec) -> tuple[BacktestResult, BacktestResult]:
    fills: dict[bool, list[tuple[OrderFilled, Order]]] = {True: [], False: []}
    with_skips, without = (
        run_backtest(asked, candles, make(), skip=skip, on_fill=lambda fill, order, skip=skip: fills[skip].append((fill, order)))
        for skip in (True, False)
    )
    assert fills[True] == fills[False]
    assert_equal(with_skips, without)
    return with_skips, without


def assert_equal(one: BacktestResult, other: BacktestResult) -> None:
    for name in one.trades.__struct_fields__:
        mine, theirs = getattr(one.trades, name), getattr(other.trades, name)
        assert (mine == theirs) if isinstance(mine, tuple) else np.array_equal(mine, theirs), name
    assert np.array_equal(one.equity.equity, other.equity.equity)
    assert one.metrics == other.metrics
    assert (one.orders, one.fingerprint) == (other.orders, other.fingerprint)


@pytest.mark.parametrize("protection", PROTECTIONS.values(), ids=PROTECTIONS)
@pytest.mark.parametrize("fill", FillModel)
def test_every_exit_rule_gives_the_same_orders_and_money_with_and_without_skipping(protection: Protection, fill: FillModel) -> None:
    asked = spec(protection=protection, fill=fill, slippage=Slippage(ticks=1, random_ticks=2), seed=5)
    fast, slow = both(lambda: create("ema_cross"), walk(8_000, seed=3), asked)
    assert len(fast.trades) > 100
    assert slow.bars_woken == 8_000
    if protection.trail is None:
        assert fast.bars_woken < 4_000


@pytest.mark.parametrize("on_breach", OnBreach)
def test_a_risk_halt_is_slept_through_until_the_next_day(on_breach: OnBreach) -> None:
    limits = RiskLimits(max_daily_loss=Decimal(400), on_breach=on_breach)
    fast, _ = both(lambda: create("ema_cross"), walk(4_000, seed=9), spec(quantity=2, risk=limits))
    assert len(fast.trades) > 20
    assert fast.bars_woken < 1_500


SIDES = st.sampled_from([Side.LONG, Side.SHORT, Side.FLAT])


@given(
    said=st.dictionaries(
        st.integers(0, 299), st.tuples(SIDES, st.none() | st.floats(20_000, 40_000), st.none() | st.floats(20_000, 40_000))
    ),
    seed=st.integers(0, 1_000),
)
def test_any_script_gives_the_same_with_and_without_skipping(said: dict[int, Any], seed: int) -> None:
    def make() -> Strategy:
        return Scripted(said)

    both(make, walk(300, seed=seed), spec("scripted", protection=Protection(square_off=time(11, 0))))


def test_a_market_that_never_closes_is_traded_through_midnight() -> None:
    fast, _ = both(lambda: create("ema_cross"), walk(6_000, seed=4, instrument=COIN, minutes_a_day=1440), spec(instrument=COIN))
    assert fast.metrics.days_per_year == 365
    assert len(fast.equity.day) == 5  # 6,000 minutes


def test_two_runs_with_one_seed_are_byte_identical() -> None:

    asked = spec(slippage=Slippage(random_ticks=4), seed=11)
    one, two, other = (run_backtest(structs.replace(asked, seed=seed), walk(3_000), create("ema_cross")) for seed in (11, 11, 12))
    columns = [
        [getattr(result.trades, name) for name in result.trades.__struct_fields__ if name not in {"rules", "exit_reasons", "instruments"}]
        for result in (one, two, other)
    ]
    encoded = [b"".join(column.tobytes() for column in each) for each in columns]
    assert encoded[0] == encoded[1] != encoded[2]
    assert msgpack.encode(one.metrics) == msgpack.encode(two.metrics)
    assert one.fingerprint == two.fingerprint != other.fingerprint
