"""Which level a candle breaks, and whether that break is news. +1 is upwards, -1 downwards, 0 neither.

Kernels: `state` holds a breakout's memory from index `at` on, all zeros is a fresh one.
"""

from __future__ import annotations

from runtime.compiled import kernel
from runtime.kernels import State
from runtime.patterns import Prices

RANGE_BREAKOUT_SIZE = 2


@kernel
def broken_side(candle: Prices, high: float, low: float, on_touch: bool) -> int:
    """The level that the close (`on_touch`: the range) of the candle lies strictly beyond; the close decides between two."""
    if on_touch:
        up, down = candle.high > high, candle.low < low
    else:
        up, down = candle.close > high, candle.close < low
    if up and down:
        return nearer_side(candle.close, high, low)
    return 1 if up else -1 if down else 0


@kernel
def range_breakout(state: State, at: int, candle: Prices, high: float, low: float, on_touch: bool) -> int:
    """Breaks of one fixed range. A side is armed until its break was taken (`take_breakout`), and again once price was back inside.

    Gives the armed side that this candle is beyond; it stays armed until it is taken.
    """
    if on_touch:
        up, down = candle.high > high, candle.low < low
    else:
        up, down = candle.close > high, candle.close < low
    if not up:
        state[at] = 0.0
    if not down:
        state[at + 1] = 0.0
    up, down = up and state[at] == 0.0, down and state[at + 1] == 0.0
    if up and down:
        return nearer_side(candle.close, high, low)
    return 1 if up else -1 if down else 0


@kernel
def take_breakout(state: State, at: int, side: int) -> None:
    """The break of this side has led to a signal."""
    if side > 0:
        state[at] = 1.0
    else:
        state[at + 1] = 1.0


@kernel
def nearer_side(close: float, high: float, low: float) -> int:
    return 1 if close >= (high + low) / 2.0 else -1
