"""Prices as whole numbers of ticks."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

_DOUBTFUL = 1e-6


def in_ticks(prices: NDArray[np.float64], tick: Decimal) -> NDArray[np.int64]:
    """The nearest multiple of `tick`, at least one, as `runtime.exits.decimal_price` rounds: halves to even, of the shortest decimal.

    Floats decide where they are far from a half; Decimal decides the rest.
    """
    exact = prices / float(tick)
    whole = np.rint(exact)
    for row in np.flatnonzero(np.abs(np.abs(exact - np.floor(exact)) - 0.5) < _DOUBTFUL * np.maximum(1.0, np.abs(exact) * 1e-6)).tolist():
        whole[row] = int((Decimal(repr(float(prices[row]))) / tick).to_integral_value(rounding=ROUND_HALF_EVEN))
    return np.maximum(whole, 1.0).astype(np.int64)
