"""Black-Scholes-Merton premiums over the rows of an index, compiled."""

from __future__ import annotations

from math import erfc, exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from runtime.compiled import kernel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SQRT_2 = sqrt(2.0)
_YEAR_SECONDS = 365.0 * 86_400.0


@kernel
def premium(sign: float, spot: float, strike: float, seconds: float, rate: float, volatility: float) -> float:
    """As `runtime.options.bsm_price`; `sign` is +1 for a call, -1 for a put, `seconds` the time to expiry (a year has 365 days)."""
    years = max(seconds, 0.0) / _YEAR_SECONDS
    owed = strike * exp(-rate * years)
    spread = volatility * sqrt(years)
    if spread == 0.0:
        return max(sign * (spot - owed), 0.0)
    d1 = log(spot / owed) / spread + spread / 2.0
    held = 0.5 * erfc(-sign * d1 / _SQRT_2)
    return max(sign * (spot * held - owed * 0.5 * erfc(-sign * (d1 - spread) / _SQRT_2)), 0.0)


@kernel
def premium_columns(
    sign: float,
    strike: float,
    expires_at: float,
    rate: float,
    ticks_numerator: float,
    ticks_divisor: float,
    candle_seconds: float,
    opened_at: Integers,
    opens: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volatility: Floats,
    out: Floats,
) -> None:
    """Premium at the index's open, high, low and close of each row, on the tick, as the rows of `out`: open, high, low, close.

    The close is priced at the candle's end, the others at its start. A tick is `ticks_numerator` / `ticks_divisor`.
    """
    for row in range(len(close)):
        left = expires_at - float(opened_at[row])
        best, worst = (high[row], low[row]) if sign > 0 else (low[row], high[row])
        for place in range(4):
            spot = opens[row] if place == 0 else best if place == 1 else worst if place == 2 else close[row]
            seconds = left - candle_seconds if place == 3 else left
            price = premium(sign, spot, strike, seconds, rate, volatility[row])
            ticks = max(np.rint(price * ticks_divisor / ticks_numerator), 1.0)
            out[place, row] = ticks * ticks_numerator / ticks_divisor
        out[1, row] = max(out[0, row], out[1, row], out[2, row], out[3, row])
        out[2, row] = min(out[0, row], out[1, row], out[2, row], out[3, row])
