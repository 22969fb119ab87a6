"""Indicators against pandas-ta-classic over a real year and against the published results of Skender's Stock.Indicators."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from math import isnan

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidConfig
from runtime.indicators import Atr, Donchian, Ema, OpeningRange, RollingMean, Vwap
from runtime.market import IST
from tests.shared_data import shared

with warnings.catch_warnings():  # of pandas about names that this library still uses
    warnings.simplefilter("ignore")
    import pandas_ta_classic as ta

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")


@cache
def real_year() -> pd.DataFrame:
    """Bank Nifty, every minute of 2019: 91,600 candles; the index has no volume, so a seeded one stands in for it."""
    path = shared("nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet")
    table = pq.read_table(path, filters=[("ts_ist", ">=", datetime(2019, 1, 1)), ("ts_ist", "<", datetime(2020, 1, 1))])
    frame = table.to_pandas().set_index("ts_ist")
    frame["volume"] = np.random.default_rng(7).integers(0, 5_000, len(frame)).astype(float)
    return frame


@cache
def skender(name: str, field: str) -> list[float | None]:
    rows = json.loads(shared(f"golden/skender/results/{name}.standard.json").read_text())
    return [row[field] for row in rows]


@cache
def daily_bars() -> list[tuple[float, float, float, float]]:
    """High, low, close, volume of the 502 bars the Skender results were computed from."""
    with shared("golden/skender/quotes/default.csv").open(encoding="utf-8-sig") as file:
        return [(float(r["high"]), float(r["low"]), float(r["close"]), float(r["volume"])) for r in csv.DictReader(file)]


def assert_equal(ours: Sequence[float | None], theirs: Sequence[float | None], relative: float = 1e-9) -> None:
    expected = [None if value is None or isnan(value) else value for value in theirs]
    assert [value is None for value in ours] == [value is None for value in expected]
    np.testing.assert_allclose([v for v in ours if v is not None], [v for v in expected if v is not None], rtol=relative, atol=0)


@pytest.mark.parametrize("period", [9, 21])
def test_ema_equals_pandas_ta_over_a_real_year(period: int) -> None:
    ema, year = Ema(period), real_year()
    assert_equal([ema.update(close) for close in year.close], ta.ema(year.close, length=period))


def test_atr_equals_pandas_ta_over_a_real_year() -> None:
    atr, year = Atr(14), real_year()
    ours = [atr.update(*bar) for bar in zip(year.high, year.low, year.close, strict=True)]
    assert_equal(ours, ta.atr(year.high, year.low, year.close, length=14))


def test_rolling_mean_equals_pandas_ta_over_a_real_year() -> None:
    mean, year = RollingMean(20), real_year()
    assert_equal([mean.update(close) for close in year.close], ta.sma(year.close, length=20))


def test_session_vwap_equals_pandas_ta_over_a_real_year() -> None:
    vwap, year, day = Vwap(), real_year(), None
    ours: list[float] = []
    for at, high, low, close, volume in zip(year.index, year.high, year.low, year.close, year.volume, strict=True):
        if at.date() != day:
            day = at.date()
            vwap.reset()
        ours.append(vwap.update(high, low, close, volume))
    assert_equal(ours, ta.vwap(year.high, year.low, year.close, year.volume))


def test_donchian_equals_pandas_ta_over_a_real_year() -> None:
    donchian, year = Donchian(20), real_year()
    ours = [donchian.update(*bar) for bar in zip(year.high, year.low, strict=True)]
    theirs = ta.donchian(year.high, year.low, 20, 20)
    assert_equal([b and b[0] for b in ours], theirs["DCU_20_20"])
    assert_equal([b and b[1] for b in ours], theirs["DCL_20_20"])


def _ema() -> Callable[[float, float, float, float], float | None]:
    ema = Ema(20)
    return lambda _high, _low, close, _volume: ema.update(close)


def _sma() -> Callable[[float, float, float, float], float | None]:
    mean = RollingMean(20)
    return lambda _high, _low, close, _volume: mean.update(close)


def _atr() -> Callable[[float, float, float, float], float | None]:
    atr = Atr(14)
    return lambda high, low, close, _volume: atr.update(high, low, close)


@pytest.mark.parametrize(
    ("name", "field", "indicator"),
    [("ema", "ema", _ema()), ("sma", "sma", _sma()), ("atr", "atr", _atr()), ("vwap", "vwap", Vwap().update)],
)
def test_published_results_of_skender_are_reproduced(name: str, field: str, indicator: Callable[..., float | None]) -> None:
    assert_equal([indicator(*bar) for bar in daily_bars()], skender(name, field), 1e-12)


def test_published_donchian_of_skender_looks_at_the_bars_before_the_current_one() -> None:
    donchian = Donchian(20, include_current=False)
    ours = [donchian.update(high, low) for high, low, _, _ in daily_bars()]
    assert_equal([b and b[0] for b in ours], skender("donchian", "upperBand"), 0)
    assert_equal([b and b[1] for b in ours], skender("donchian", "lowerBand"), 0)


def test_vwap_without_volume_counts_every_candle_once() -> None:
    vwap = Vwap()
    assert vwap.update(12, 9, 9, None) == 10
    assert vwap.update(24, 18, 18, 0.0) == 15
    assert not vwap.by_volume
    assert vwap.update(33, 27, 30, 4.0) == 30
    assert vwap.by_volume
    vwap.reset()
    assert vwap.update(12, 9, 9, None) == 10


def test_the_opening_range_holds_exactly_the_candles_that_open_in_it() -> None:
    start = datetime(2026, 11, 20, 9, 15, tzinfo=IST)
    opening = OpeningRange(start, start + timedelta(minutes=15))
    for offset, high, low in [(-1, 999, 1), (0, 110, 100), (14, 112, 95)]:
        opening.update(start + timedelta(minutes=offset), high, low)
    assert (opening.high, opening.low, opening.complete) == (112, 95, False)

    opening.update(start + timedelta(minutes=15), 500, 5)
    opening.update(start + timedelta(minutes=3), 500, 5)  # too late to count
    assert (opening.high, opening.low, opening.complete) == (112, 95, True)


def test_a_session_that_opens_after_the_range_has_none() -> None:
    evening = datetime(2022, 10, 24, 18, 15, tzinfo=IST)
    opening = OpeningRange(evening.replace(hour=9, minute=15), evening.replace(hour=9, minute=30))
    opening.update(evening, 110, 100)
    assert (opening.high, opening.low, opening.complete) == (None, None, True)


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=200), st.integers(1, 30))
def test_donchian_equals_max_and_min_of_the_window(prices: list[float], period: int) -> None:
    donchian = Donchian(period)
    for count, price in enumerate(prices, 1):
        window = prices[max(0, count - period) : count]
        expected = (max(window), min(window)) if count >= period else None
        assert donchian.update(price, price) == expected


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=300), st.integers(1, 30))
def test_a_rolling_mean_never_drifts(values: list[float], period: int) -> None:
    mean = RollingMean(period)
    for count, value in enumerate(values, 1):
        window = values[max(0, count - period) : count]
        current = mean.update(value)
        assert (current is None) == (count < period)
        if current is not None:
            assert current == pytest.approx(sum(window) / period, rel=1e-9, abs=1e-5)


@pytest.mark.parametrize("indicator", [Ema, Atr, RollingMean, Donchian])
def test_a_period_below_one_is_refused(indicator: type) -> None:
    with pytest.raises(InvalidConfig, match="period = 0"):
        indicator(0)


def test_the_real_year_is_a_whole_one() -> None:
    days = {at.date() for at in real_year().index}
    assert (len(days), min(days)) == (244, date(2019, 1, 1))
