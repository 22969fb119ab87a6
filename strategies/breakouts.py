"""Which level a candle breaks, and whether that break is news. +1 is upwards, -1 downwards, 0 neither."""

from __future__ import annotations

from runtime.market import Candle
from runtime.patterns import is_inside_bar


def broken_side(candle: Candle, high: float, low: float, *, on_touch: bool) -> int:
    """The level that the close (`on_touch`: the range) of the candle lies strictly beyond; the close decides between two."""
    if on_touch:
        up, down = candle.high > high, candle.low < low
        if up and down:
            return _nearer_side(candle.close, high, low)
    else:
        up, down = candle.close > high, candle.close < low
    return 1 if up else -1 if down else 0


class RangeBreakout:
    """Breaks of one fixed range. A side is armed until its break has been taken, and again once price was back inside."""

    __slots__ = ("_armed_down", "_armed_up", "_on_touch")

    def __init__(self, *, on_touch: bool) -> None:
        self._on_touch = on_touch
        self._armed_up = self._armed_down = True

    def update(self, candle: Candle, high: float, low: float) -> int:
        """The armed side that this candle is beyond; it stays armed until `take`."""
        if self._on_touch:
            up, down = candle.high > high, candle.low < low
        else:
            up, down = candle.close > high, candle.close < low
        if not up:
            self._armed_up = True
        if not down:
            self._armed_down = True
        up, down = up and self._armed_up, down and self._armed_down
        if up and down:
            return _nearer_side(candle.close, high, low)
        return 1 if up else -1 if down else 0

    def take(self, side: int) -> None:
        """The break of this side has led to a signal."""
        if side > 0:
            self._armed_up = False
        else:
            self._armed_down = False


class InsideBarBreakout:
    """Waits with a mother bar for as long as its inside bars stay within it, and reports the candle that breaks it, once."""

    __slots__ = ("_on_touch", "mother")

    def __init__(self, *, on_touch: bool) -> None:
        self._on_touch = on_touch
        self.mother: Candle | None = None

    def update(self, previous: Candle | None, candle: Candle) -> tuple[int, Candle | None]:
        """The side broken and the mother bar it was broken of."""
        mother = self.mother
        if mother is not None:
            side = broken_side(candle, mother.high, mother.low, on_touch=self._on_touch)
            if side:
                self.mother = None
            return side, mother
        if previous is not None and is_inside_bar(previous, candle):
            self.mother = previous
        return 0, None


def _nearer_side(close: float, high: float, low: float) -> int:
    return 1 if close >= (high + low) / 2.0 else -1
