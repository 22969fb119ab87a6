"""The indicators of `runtime.indicators` as kernels over a strategy's state: same arithmetic, NaN instead of None.

`state` holds each indicator's numbers from index `at` on; all zeros is a fresh one.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from math import nan
from typing import TypeAlias

from runtime.compiled import kernel

State: TypeAlias = MutableSequence[float]
"""A list in plain Python, a float64 array when compiled."""

SMOOTHED_SIZE = 3


@kernel
def smoothed(state: State, at: int, period: float, weight: float, value: float) -> float:
    """Exponential average seeded with the mean of its first `period` values (an EMA's weight is 2 / (period + 1))."""
    if state[at] == period:
        current = state[at + 2]
        current = current + weight * (value - current)
        state[at + 2] = current
        return current
    state[at] += 1.0
    state[at + 1] += value
    if state[at] < period:
        return nan
    state[at + 2] = state[at + 1] / period
    return state[at + 2]


TRUE_RANGE_SIZE = 2


@kernel
def true_range(state: State, at: int, high: float, low: float, close: float) -> float:
    """The candle's range, extended to the previous close; NaN for the first candle, which has none."""
    seen, previous = state[at], state[at + 1]
    state[at], state[at + 1] = 1.0, close
    if seen == 0.0:
        return nan
    if previous > high:
        return previous - low
    if previous < low:
        return high - previous
    return high - low


VWAP_SIZE = 4


@kernel
def vwap(state: State, at: int, high: float, low: float, close: float, volume: float) -> float:
    """Volume-weighted mean of the typical price since the state was zeroed; while no volume came, every candle counts once."""
    typical = (high + low + close) / 3.0
    state[at + 2] += typical
    state[at + 3] += 1.0
    if volume > 0.0:
        state[at] += typical * volume
        state[at + 1] += volume
    return state[at] / state[at + 1] if state[at + 1] > 0.0 else state[at + 2] / state[at + 3]


@kernel
def rolling_mean(state: State, at: int, period: int, value: float) -> float:
    """Mean of the last `period` values; needs 2 + `period` numbers of state. NaN until it has seen so many."""
    count = int(state[at])
    place = at + 2 + count % period
    if count < period:
        state[at + 1] += value
        state[place] = value
    else:
        state[at + 1] += value - state[place]
        state[place] = value
        if (count + 1) % period == 0:  # once a turn, so that rounding errors never pile up
            total = 0.0
            for offset in range(period):
                total += state[at + 2 + offset]
            state[at + 1] = total
    state[at] = count + 1.0
    return state[at + 1] / period if count + 1 >= period else nan
