"""`run_backtest`: the door to both lanes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, BacktestSpec
from runtime.calendar import ExchangeCalendar
from runtime.strategy import Strategy

Progress: TypeAlias = Callable[[int, int], None]
"""Called now and then with (candles done, candles in all)."""


def run_backtest(
    spec: BacktestSpec,
    candles: CandleArray,
    strategy: Strategy,
    *,
    calendar: ExchangeCalendar | None = None,
    quality: Sequence[str] = (),
    progress: Progress | None = None,
) -> BacktestResult:
    """Run one strategy over candles.

    Args:
        spec: what to run, for whom, and how orders are filled.
        candles: of `spec.instrument`, in the subscription's timeframe; those before `spec.start` warm the strategy up.
        strategy: a fresh instance with the subscription's parameters, such as `strategies.create` makes.
        calendar: the exchange's sessions; None is a market that never closes.
        quality: what was found wrong with the candles, passed on into the result.
        progress: told how far the run has come.

    Raises:
        InvalidConfig: the candles are of another instrument or timeframe, or the screening lane cannot do what is asked.
    """
    raise NotImplementedError
