"""What a strategy says on each candle, found ahead of the orders: strategies know of no position, so it cannot depend on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.contexts import Contexts
from runtime.backtest.scan import run_steps
from runtime.compiled import compiled
from runtime.kernel_strategy import FLAT_CODE, KernelStrategy
from runtime.market import Instrument
from runtime.ranges import PERIOD, TrueRanges
from runtime.session import Subscription
from runtime.signal_engine import SignalEngine, StrategyFailed, StrategySpec, signal_of
from runtime.signals import Side, Signal
from runtime.strategy import Strategy

Codes: TypeAlias = NDArray[np.int8]
"""Per candle: 0 nothing, above 0 LONG, below SHORT, `FLAT_CODE` out."""


Progress: TypeAlias = Callable[[int, int], None]
"""Called now and then with (candles done, candles in all)."""

STRETCH_ROWS = 65_536


class SignalSource(Protocol):
    """Asked for stretches of candles in order; of the newest stretch it can give each signal."""

    @property
    def failure(self) -> str | None:
        """Why the strategy was switched off, if it raised an error."""
        ...

    def codes(self, first: int, last: int) -> Codes: ...

    def signal(self, row: int) -> Signal | None: ...


def stretches(source: SignalSource, last: int, progress: Progress | None = None) -> Iterator[tuple[int, int, Codes]]:
    """(first row, row behind the last, codes) of one stretch of candles after the other, up to the row `last`."""
    for start in range(0, last, STRETCH_ROWS):
        stop = min(start + STRETCH_ROWS, last)
        yield start, stop, source.codes(start, stop)
        if progress is not None:
            progress(stop, last)


def signal_source(
    strategy: Strategy, candles: CandleArray, contexts: Contexts, subscription: Subscription, traded: Instrument, *, ranged: bool
) -> SignalSource:
    """`ranged`: whether anybody sizes by the signals' average true range."""
    if isinstance(strategy, KernelStrategy):
        return KernelSignals(strategy, candles, contexts, subscription, traded, ranged=ranged)
    return PythonSignals(strategy, candles, contexts, subscription, traded)


class PythonSignals:
    """Any strategy, candle by candle, through the live `SignalEngine`."""

    def __init__(
        self, strategy: Strategy, candles: CandleArray, contexts: Contexts, subscription: Subscription, traded: Instrument
    ) -> None:
        self._candles, self._contexts = candles, contexts
        self._engine = SignalEngine(lambda _name, _parameters: strategy, {traded.id: traded})
        self._engine.add(_spec(subscription))
        self._signals: dict[int, Signal] = {}
        self.failure: str | None = None

    def codes(self, first: int, last: int) -> Codes:
        codes = np.zeros(last - first, dtype=np.int8)
        self._signals.clear()
        for row in range(first, last):
            candle = self._candles.candle(row)
            for outcome in self._engine.on_candle(candle, self._contexts.at(row, candle)):
                if isinstance(outcome, StrategyFailed):
                    self.failure = f"{outcome.candle_time}: {outcome.error}"
                else:
                    codes[row - first] = _CODES[outcome.side]
                    self._signals[row] = outcome
        return codes

    def signal(self, row: int) -> Signal | None:
        return self._signals.get(row)


class KernelSignals:
    """A `KernelStrategy`: its step over all candles as machine code, a `Signal` built only where one is looked at."""

    def __init__(
        self,
        strategy: KernelStrategy,
        candles: CandleArray,
        contexts: Contexts,
        subscription: Subscription,
        traded: Instrument,
        *,
        ranged: bool,
    ) -> None:
        self._ranged = ranged
        self._strategy, self._candles, self._contexts = strategy, candles, contexts
        self._spec, self._traded = _spec(subscription), traded
        self._key = self._spec.key
        self._run = compiled(run_steps, step=type(strategy).step)
        self._state = np.zeros(strategy.state_size)
        self._first = 0
        self._codes = np.zeros(0, dtype=np.int8)
        self._values = np.zeros((0, len(strategy.columns)))
        self.failure: str | None = None

    def codes(self, first: int, last: int) -> Codes:
        candles, rows = self._candles, slice(first, last)
        if len(self._codes) < last - first:
            self._codes = np.zeros(last - first, dtype=np.int8)
            self._values = np.full((last - first, len(self._strategy.columns)), nan)
        volume = _unknown(last - first) if candles.volume is None else candles.volume[rows]
        self._run(
            self._state,
            self._strategy.parameters,
            self._values,
            self._codes,
            self._contexts.session[rows],
            candles.minute[rows],
            candles.opened_at[rows],
            candles.open[rows],
            candles.high[rows],
            candles.low[rows],
            candles.close[rows],
            volume,
            self._contexts.put_call_ratio(first, last),
        )
        self._first = first
        return self._codes[: last - first]

    def signal(self, row: int) -> Signal | None:
        at, candle = row - self._first, self._candles.candle(row)
        code = self._codes.item(at)
        if not code or self.failure is not None:
            return None
        context = self._contexts.at(row, candle)
        try:
            target = self._strategy.explain(code, self._values[at].tolist(), candle, context)
        except Exception as error:  # noqa: BLE001 - a strategy is foreign code: what it raises is told at the end of the run
            self.failure = f"{candle.opened_at}: {type(error).__name__}: {error}"
            return None
        mean = self._mean_range(row) if self._ranged else None
        return signal_of(self._spec, self._key, target, candle, context, self._traded, mean_range=mean)

    def _mean_range(self, row: int) -> float | None:
        """Of the candles up to `row`, as a `SignalEngine` that has seen them finds it."""
        ranges, rows, candles = TrueRanges(), slice(max(row - PERIOD, 0), row + 1), self._candles
        for high, low, close in zip(candles.high[rows].tolist(), candles.low[rows].tolist(), candles.close[rows].tolist(), strict=True):
            ranges.add(high, low, close)
        return ranges.mean


class SharedSignals:
    """One source for many listeners: each signal of the newest stretch is made once."""

    def __init__(self, source: SignalSource) -> None:
        self._source = source
        self._signals: dict[int, Signal | None] = {}

    @property
    def failure(self) -> str | None:
        return self._source.failure

    def codes(self, first: int, last: int) -> Codes:
        self._signals.clear()
        return self._source.codes(first, last)

    def signal(self, row: int) -> Signal | None:
        if row not in self._signals:
            self._signals[row] = self._source.signal(row)
        return self._signals[row]


def _spec(subscription: Subscription) -> StrategySpec:
    return StrategySpec(
        strategy=subscription.strategy,
        parameters=subscription.parameters,
        instrument=subscription.instrument,
        timeframe=subscription.timeframe,
    )


_CODES: Mapping[Side, int] = {Side.LONG: 1, Side.SHORT: -1, Side.FLAT: FLAT_CODE}


def _unknown(count: int) -> NDArray[np.float64]:
    return np.full(count, nan)
