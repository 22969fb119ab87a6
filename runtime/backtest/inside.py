"""What went on inside candles, where finer ones of the same instrument tell it: which of stop and target came first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.errors import InvalidConfig


class Inside:
    """Finer candles within each candle. A candle that they do not make up, price by price, is taken as if there were none in it.

    `known`: how many candles they do make up.

    Raises:
        InvalidConfig: they are of another instrument, or not finer.
    """

    def __init__(self, candles: CandleArray, finer: CandleArray) -> None:
        if finer.instrument != candles.instrument:
            raise InvalidConfig("finer candles", finer.instrument, f"the candles are of {candles.instrument}")
        if finer.seconds >= candles.seconds:
            raise InvalidConfig("finer candles", str(finer.timeframe), f"must be shorter than the candles of {candles.timeframe}")
        self._finer = finer
        self._first = np.searchsorted(finer.opened_at, candles.opened_at)
        self._last = np.searchsorted(finer.opened_at, candles.opened_at + candles.seconds)
        self._known = np.zeros(len(candles), dtype=np.bool_)
        rows = np.flatnonzero(self._first < self._last)
        if len(rows):
            self._known[rows] = _made_up(candles, finer, rows, self._first[rows], self._last[rows])
        self.known = int(self._known.sum())

    def notes(self) -> tuple[str, ...]:
        """What the fills follow, in plain words."""
        share = f"{self.known:,} of {len(self._known):,} candles"
        return (f"In {share} the order of prices is that of candles of {self._finer.timeframe}; in the others the stop comes first.",)

    def fingerprint(self) -> str:
        """A hash over the finer candles."""
        finer, digest = self._finer, hashlib.blake2b(digest_size=16)
        for column in (finer.opened_at, finer.open, finer.high, finer.low, finer.close):
            digest.update(column.tobytes())
        return digest.hexdigest()

    def candles_of(self, row: int) -> Sequence[tuple[float, float, float, float]]:
        """(open, high, low, close) of what is inside the candle, in order; nothing where that is not known."""
        if not self._known[row]:
            return ()
        finer, rows = self._finer, slice(self._first[row], self._last[row])
        columns = (finer.open[rows], finer.high[rows], finer.low[rows], finer.close[rows])
        return list(zip(*(column.tolist() for column in columns), strict=True))


def _made_up(
    candles: CandleArray, finer: CandleArray, rows: NDArray[np.intp], first: NDArray[np.intp], last: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Of each of the rows: whether open, high, low and close are those of the finer candles [first, last) together."""
    edges = np.column_stack([first, last]).ravel()
    high, low = (np.append(column, column[-1]) for column in (finer.high, finer.low))
    return (
        (finer.open[first] == candles.open[rows])
        & (finer.close[last - 1] == candles.close[rows])
        & (np.maximum.reduceat(high, edges)[::2] == candles.high[rows])
        & (np.minimum.reduceat(low, edges)[::2] == candles.low[rows])
    )
