"""Candle patterns as pure functions of prices.

With body = |close - open|, range = high - low, upper shadow = high - max(open, close), lower shadow = min(open, close) - low.
A candle without range is no pattern. They are kernels: a compiled strategy calls the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from runtime.compiled import kernel
from runtime.kernel_strategy import Bar
from runtime.market import Candle

Prices: TypeAlias = Candle | Bar


@kernel
def is_hammer(candle: Prices, shadow_to_body: float = 2.0, other_shadow: float = 0.1, body_zone: float = 1 / 3) -> bool:
    """Lower shadow ≥ `shadow_to_body` × body, upper shadow ≤ `other_shadow` × range, body within the top `body_zone` of the range."""
    bottom, top = _body(candle)
    span = candle.high - candle.low
    return (
        span > 0.0
        and bottom - candle.low >= shadow_to_body * (top - bottom)
        and candle.high - top <= other_shadow * span
        and candle.high - bottom <= body_zone * span
    )


@kernel
def is_shooting_star(candle: Prices, shadow_to_body: float = 2.0, other_shadow: float = 0.1, body_zone: float = 1 / 3) -> bool:
    """The hammer's mirror image: a long upper shadow above a body in the bottom `body_zone` of the range."""
    bottom, top = _body(candle)
    span = candle.high - candle.low
    return (
        span > 0.0
        and candle.high - top >= shadow_to_body * (top - bottom)
        and bottom - candle.low <= other_shadow * span
        and top - candle.low <= body_zone * span
    )


@kernel
def is_bullish_engulfing(previous: Prices, candle: Prices) -> bool:
    """A rising body covers the falling body before it entirely and is larger."""
    return previous.close < previous.open and candle.open < candle.close and _engulfs(previous, candle)


@kernel
def is_bearish_engulfing(previous: Prices, candle: Prices) -> bool:
    """A falling body covers the rising body before it entirely and is larger."""
    return previous.open < previous.close and candle.close < candle.open and _engulfs(previous, candle)


@kernel
def is_inside_bar(previous: Prices, candle: Prices) -> bool:
    """High and low both within those of the candle before, the mother bar."""
    return candle.high <= previous.high and candle.low >= previous.low


def is_range_compression(previous_ranges: Sequence[float], candle: Candle, *, ratio: float = 0.6) -> bool:
    """Range below `ratio` × the mean of the ranges before it (spec: the last 10). False without any."""
    return bool(previous_ranges) and candle.high - candle.low < ratio * sum(previous_ranges) / len(previous_ranges)


@kernel
def strong_candle(candle: Prices, body: float = 0.6, close_zone: float = 0.25) -> int:
    """+1 / -1 when the body exceeds `body` × range and the close lies in the outer `close_zone` of the range on its side, else 0."""
    span = candle.high - candle.low
    move = candle.close - candle.open
    if abs(move) <= body * span or span <= 0.0:
        return 0
    if move > 0.0:
        return 1 if candle.high - candle.close <= close_zone * span else 0
    return -1 if candle.close - candle.low <= close_zone * span else 0


@kernel
def is_volume_breakout(volume: float, mean: float, multiple: float = 1.5) -> bool:
    return volume > multiple * mean


@kernel
def _body(candle: Prices) -> tuple[float, float]:
    return (candle.open, candle.close) if candle.open < candle.close else (candle.close, candle.open)


@kernel
def _engulfs(previous: Prices, candle: Prices) -> bool:
    bottom, top = _body(candle)
    old_bottom, old_top = _body(previous)
    return bottom <= old_bottom and top >= old_top and top - bottom > old_top - old_bottom
