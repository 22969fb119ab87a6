"""Which candles are traded over, and where their days end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestSpec, EquityCurve, TradeTable
from runtime.errors import InvalidConfig


def traded_rows(spec: BacktestSpec, candles: CandleArray) -> tuple[int, int]:
    """The rows of the exchange dates asked for, [first, last).

    Raises:
        InvalidConfig: see `run_backtest`.
    """
    subscription = spec.subscription
    if candles.instrument != spec.instrument.id:
        raise InvalidConfig("instrument", spec.instrument.id, f"the candles are of {candles.instrument}")
    if candles.timeframe is not subscription.timeframe:
        raise InvalidConfig("timeframe", subscription.timeframe, f"the candles are of {candles.timeframe}")
    first = 0 if spec.start is None else int(np.searchsorted(candles.day, np.datetime64(spec.start).astype(np.int64)))
    last = len(candles) if spec.end is None else int(np.searchsorted(candles.day, np.datetime64(spec.end).astype(np.int64), side="right"))
    if first >= last:
        raise InvalidConfig("start/end", (spec.start, spec.end), "no candle lies between these dates")
    return first, last


def day_ends(candles: CandleArray, first: int, last: int) -> NDArray[np.int64]:
    """The row of each day's last candle among [first, last)."""
    day = candles.day[first:last]
    return np.append(np.flatnonzero(np.diff(day)), last - first - 1) + first


def equity_at(spec: BacktestSpec, trades: TradeTable, ends: NDArray[np.int64], marks: Sequence[tuple[int, float]]) -> NDArray[np.float64]:
    """Capital, what is realised up to each day's end, and the mark (row, profit) of what was open then."""
    realised = np.concatenate(([0.0], np.cumsum(trades.net)))
    equity = float(spec.session.capital) + realised[np.searchsorted(trades.exit_bar, ends, side="right")]
    for row, profit in marks:
        equity[np.searchsorted(ends, row)] += profit
    return equity


def curve_of(candles: CandleArray, ends: NDArray[np.int64], equity: NDArray[np.float64]) -> EquityCurve:
    return EquityCurve(
        day=candles.day[ends].astype("datetime64[D]"),
        time=(candles.opened_at[ends] + candles.seconds).astype("datetime64[s]"),
        bar=ends,
        equity=equity,
    )
