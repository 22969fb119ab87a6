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
