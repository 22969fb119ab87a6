"""The paper exchange of a backtest: the live one, shown the prices of candles."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from runtime.backtest.result import Slippage
from runtime.market import Instrument, Quote

_MASK = (1 << 64) - 1


class Slipping:
    """Quotes around a price: what a buyer pays and a seller gets, by the slippage asked for.

    Without ticks of slippage the quote shows no sides, and the exchange applies the session's percentage instead.
    """

    def __init__(self, slippage: Slippage, seed: int) -> None:
        self._ticks, self._random_ticks, self._seed = slippage.ticks, slippage.random_ticks, seed

    def quote(self, instrument: Instrument, price: float, row: int) -> Quote:
        ticks = self._ticks + (noise(self._seed, row) % (self._random_ticks + 1) if self._random_ticks else 0)
        if not ticks:
            return Quote(instrument.id, price)
        tick = instrument.tick_size
        middle, distance = Decimal(repr(price)), ticks * tick
        return Quote(instrument.id, price, float(max(tick, middle - distance)), float(middle + distance))


def noise(seed: int, row: int) -> int:
    """64 random bits that depend on nothing but the two numbers, so that skipping a row shifts no other's (SplitMix64)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (row + 1) * 0xD1B54A32D192ED03) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def first_price_below(level: float, instrument: Instrument) -> float:
    """The highest price on the instrument's tick that is at or below `level`."""
    return _on_tick(level, instrument, ROUND_FLOOR)


def first_price_above(level: float, instrument: Instrument) -> float:
    return _on_tick(level, instrument, ROUND_CEILING)


def _on_tick(level: float, instrument: Instrument, rounding: str) -> float:
    tick = instrument.tick_size
    return float((Decimal(repr(level)) / tick).to_integral_value(rounding=rounding) * tick)
