"""Candles of what is traded: the candles' own instrument, or (see `options`) a contract on it."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.market import Instrument


class PriceColumns(msgspec.Struct, frozen=True):
    """Prices of one instrument on the rows [`first`, `first` + length) of the candles."""

    first: int
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]

    @property
    def last(self) -> int:
        """The row behind the last one known."""
        return self.first + len(self.close)


class PriceSource(Protocol):
    """Prices of whatever orders are placed in."""

    synthetic: bool
    """Whether any price given so far was computed by a model."""

    def columns(self, instrument: Instrument, row: int) -> PriceColumns:
        """Columns that hold `row` and as many rows after it as are worth having at once."""
        ...


class OwnPrices:
    """The candles are themselves of what is traded."""

    synthetic = False

    def __init__(self, candles: CandleArray) -> None:
        self._columns = PriceColumns(0, candles.open, candles.high, candles.low, candles.close)

    def columns(self, instrument: Instrument, row: int) -> PriceColumns:
        del instrument, row
        return self._columns
