"""Incremental indicators: O(1) a candle, None until warmed up.

Seeding follows pandas-ta-classic, which the tests compare with to 1e-9: exponential averages start from the simple mean of
their first `period` values.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from math import fsum

from runtime.errors import InvalidConfig


class RollingMean:
    """Mean of the last `period` values."""

    __slots__ = ("_next", "_period", "_sum", "_values", "value")

    def __init__(self, period: int) -> None:
        self._period = _positive(period)
        self._values: list[float] = []
        self._next = 0
        self._sum = 0.0
        self.value: float | None = None

    def update(self, value: float) -> float | None:
        if len(self._values) < self._period:
            self._values.append(value)
            self._sum += value
            if len(self._values) < self._period:
                return None
        else:
            at = self._next
            self._sum += value - self._values[at]
            self._values[at] = value
            self._next = at + 1
            if self._next == self._period:  # once a turn, so that rounding errors never pile up
                self._next = 0
                self._sum = fsum(self._values)
        self.value = self._sum / self._period
        return self.value


class _Smoothed:
    """Exponential average with weight `alpha`, seeded with the mean of the first `period` values."""

    __slots__ = ("_alpha", "_count", "_period", "_sum", "value")

    def __init__(self, period: int, alpha: float) -> None:
        self._period = period
        self._alpha = alpha
        self._count = 0
        self._sum = 0.0
        self.value: float | None = None

    def update(self, value: float) -> float | None:
        current = self.value
        if current is not None:
            self.value = current = current + self._alpha * (value - current)
            return current
        self._count += 1
        self._sum += value
        if self._count == self._period:
            self.value = self._sum / self._period
        return self.value


class Ema(_Smoothed):
    """Exponential moving average, weight 2 / (period + 1)."""

    __slots__ = ()

    def __init__(self, period: int) -> None:
        super().__init__(_positive(period), 2.0 / (period + 1))


class Atr:
    """Average true range by Wilder's smoothing (weight 1 / period).

    The first candle has no previous close, hence no true range: the first value comes with candle period + 1, as in
    pandas-ta-classic and Skender's Stock.Indicators alike.
    """

    __slots__ = ("_close", "_mean")

    def __init__(self, period: int) -> None:
        self._mean = _Smoothed(_positive(period), 1.0 / period)
        self._close: float | None = None

    @property
    def value(self) -> float | None:
        return self._mean.value

    def update(self, high: float, low: float, close: float) -> float | None:
        previous, self._close = self._close, close
        if previous is None:
            return None
        if previous > high:
            return self._mean.update(previous - low)
        if previous < low:
            return self._mean.update(high - previous)
        return self._mean.update(high - low)


class Vwap:
    """Volume-weighted mean of the typical price (high + low + close) / 3 since `reset`.

    While no volume has been reported it is the time-weighted mean instead: every candle counts once (`by_volume` tells).
    """

    __slots__ = ("_candles", "_turnover", "_typical", "_volume", "value")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new session begins."""
        self._turnover = self._volume = self._typical = 0.0
        self._candles = 0
        self.value: float | None = None

    @property
    def by_volume(self) -> bool:
        return self._volume > 0.0

    def update(self, high: float, low: float, close: float, volume: float | None) -> float:
        typical = (high + low + close) / 3.0
        self._typical += typical
        self._candles += 1
        if volume:
            self._turnover += typical * volume
            self._volume += volume
        value = self._turnover / self._volume if self._volume > 0.0 else self._typical / self._candles
        self.value = value
        return value


class Donchian:
    """Highest high and lowest low of `period` candles: the last ones (pandas-ta-classic), or those before the current one (Skender)."""

    __slots__ = ("_count", "_highs", "_include_current", "_lows", "_period")

    def __init__(self, period: int, *, include_current: bool = True) -> None:
        self._period = _positive(period)
        self._include_current = include_current
        self._count = 0
        # Candidates only, (candle number, price): whatever a newer candle exceeds can never be the extreme again.
        self._highs: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()

    def update(self, high: float, low: float) -> tuple[float, float] | None:
        """Upper and lower band."""
        before = self._bands()
        highs, lows, number = self._highs, self._lows, self._count
        while highs and highs[-1][1] <= high:
            highs.pop()
        highs.append((number, high))
        while lows and lows[-1][1] >= low:
            lows.pop()
        lows.append((number, low))
        self._count = number + 1
        if highs[0][0] <= number - self._period:
            highs.popleft()
        if lows[0][0] <= number - self._period:
            lows.popleft()
        return self._bands() if self._include_current else before

    def _bands(self) -> tuple[float, float] | None:
        return (self._highs[0][1], self._lows[0][1]) if self._count >= self._period else None


class OpeningRange:
    """High and low of the candles that open in [start, end) of one session. `complete` once a candle at or after `end` is seen."""

    __slots__ = ("_end", "_start", "complete", "high", "low")

    def __init__(self, start: datetime, end: datetime) -> None:
        self._start = start
        self._end = end
        self.complete = False
        self.high: float | None = None
        self.low: float | None = None

    def update(self, opened_at: datetime, high: float, low: float) -> None:
        if self.complete or opened_at < self._start:
            return
        if opened_at >= self._end:
            self.complete = True
            return
        self.high = high if self.high is None or high > self.high else self.high
        self.low = low if self.low is None or low < self.low else self.low


def _positive(period: int) -> int:
    if period < 1:
        raise InvalidConfig("period", period, "must be 1 or more")
    return period
