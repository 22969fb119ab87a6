"""The crossover that backtesting.py documents, on the prices it ships: its stored trade list is the oracle."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult
from runtime.backtest.run import run_backtest
from runtime.market import Candle, Instrument, InstrumentKind, Segment, Timeframe
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from tests.runtime.backtest.samples import spec
from tests.shared_data import shared

GOOG = Instrument(id="NASDAQ:GOOG", kind=InstrumentKind.EQUITY, segment=Segment.US, currency="USD", tick_size=Decimal("0.01"))
DAY = 86_400


class SmaCross:
    """backtesting.py's example: turn when the mean of 10 closes crosses that of 20."""

    name = "sma_cross"

    def __init__(self) -> None:
        self._closes: deque[float] = deque(maxlen=20)
        self._before: float | None = None

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:
        del context
        self._closes.append(candle.close)
        if len(self._closes) < 20:
            return None
        closes = list(self._closes)
        before, self._before = self._before, np.mean(closes[10:]) - np.mean(closes)
        if before is None or not before * self._before < 0.0:
            return None
        return Target(side=Side.LONG if self._before > 0 else Side.SHORT, rule="cross", reason="crossed", price=candle.close)

    def describe(self) -> dict[str, float | str | None]:
        return {}


def rows(name: str) -> Iterator[dict[str, str]]:
    with shared(f"golden/backtesting_py/{name}").open() as file:
        yield from csv.DictReader(file)


def run(*, real_dates: bool) -> BacktestResult:
    """`real_dates` False: one candle a day without weekends and holidays, as backtesting.py counts bars."""
    bars = list(rows("GOOG.csv"))
    dates = [int(datetime.fromisoformat(bar[""]).replace(tzinfo=UTC).timestamp()) for bar in bars]
    opened_at = np.array(dates) if real_dates else dates[0] + np.arange(len(bars)) * DAY
    prices = np.array([[float(bar[name]) for name in ("Open", "High", "Low", "Close")] for bar in bars])
    candles = CandleArray.of(GOOG.id, Timeframe.D1, UTC, opened_at, prices)
    return run_backtest(spec("sma_cross", instrument=GOOG, timeframe=Timeframe.D1, fees="none", close_at_end=False), candles, SmaCross())


@pytest.fixture(scope="module")
def golden() -> list[tuple[Any, ...]]:
    """(side, entry bar, exit bar, entry price, exit price, profit a share)"""
    trades = rows("GOOG_smacross_trades_backtestingpy_0.6.6_commission_0.csv")
    return sorted(
        (
            "LONG" if int(t["Size"]) > 0 else "SHORT",
            int(t["EntryBar"]),
            int(t["ExitBar"]),
            float(t["EntryPrice"]),
            float(t["ExitPrice"]),
            round(float(t["PnL"]) / abs(int(t["Size"])), 6),
        )
        for t in trades
    )


def listed(result: BacktestResult) -> list[tuple[Any, ...]]:
    return sorted((t.side, t.entry_bar, t.exit_bar, t.entry_price, t.exit_price, round(t.gross, 6)) for t in result.trades)


def test_the_same_crossover_gives_the_same_trades(golden: list[tuple[Any, ...]]) -> None:
    result = run(real_dates=False)
    assert len(golden) == 93
    assert listed(result) == golden
    assert not result.skipped


def test_on_real_dates_the_only_difference_is_that_nobody_enters_on_a_signal_older_than_its_time_to_live(
    golden: list[tuple[Any, ...]],
) -> None:
    result = run(real_dates=True)
    mine = listed(result)
    missing = [trade for trade in golden if trade not in mine]
    assert [trade for trade in mine if trade not in golden] == []
    assert result.skipped == {"stale": len(missing) + 1}  # the last one would still be open, so it is in no list
    dates = [datetime.fromisoformat(bar[""]) for bar in rows("GOOG.csv")]
    # Each entry that is missing is a reversal over a weekend or holiday: its exit waited for the open, and the signal with it.
    assert all(dates[entry] - dates[entry - 1] > timedelta(days=1) for _, entry, *_ in missing)
    assert 0 < len(missing) < 30
