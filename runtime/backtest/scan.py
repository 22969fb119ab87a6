"""Compiled loops over candles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.compiled import kernel
from runtime.kernel_strategy import FLAT_CODE, Bar, step

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SIGNALS_IGNORED = 3
"""In place of a side: no signal matters."""


@kernel
def run_steps(
    state: Any,
    parameters: Sequence[float],
    values: Floats,
    codes: NDArray[np.int8],
    session: Integers,
    minute: Integers,
    time: Integers,
    opens: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    pcr: Floats,
) -> None:
    """Feed candles to `step` (put in by `compiled`) in order; its code and values per candle go into `codes` and `values`."""
    for row in range(len(close)):
        bar = Bar(
            float(session[row]), float(minute[row]), float(time[row]), opens[row], high[row], low[row], close[row], volume[row], pcr[row]
        )
        codes[row] = step(state, parameters, values[row], bar)


@kernel
def next_wake(
    codes: NDArray[np.int8],
    codes_first: int,
    low: Floats,
    high: Floats,
    prices_first: int,
    row: int,
    last: int,
    side: int,
    below: float,
    above: float,
) -> int:
    """The first of the rows [row, last) whose range reaches a watched level or whose code is news; `last` if there is none.

    `codes` and prices start with the rows `codes_first` and `prices_first`. A signal for the `side` held (+1, -1, 0 for no
    position) is no news, and neither is one to be out for who is out.
    """
    while row < last:
        at = row - prices_first
        if low[at] <= below or high[at] >= above:
            return row
        code = codes[row - codes_first]
        if code != 0 and side != SIGNALS_IGNORED:
            wanted = 0 if code == FLAT_CODE else (1 if code > 0 else -1)
            if wanted != side:
                return row
        row += 1
    return last


@kernel
def extremes(
    low: Floats, high: Floats, first: int, last: int, entry: float, direction: int, worst: float, best: float
) -> tuple[float, float]:
    """`worst` and `best` moves since the `entry`, with those of the rows [first, last), which is not empty."""
    lowest, highest = low[first], high[first]
    for at in range(first + 1, last):
        lowest, highest = min(lowest, low[at]), max(highest, high[at])
    down, up = (lowest - entry) * direction, (highest - entry) * direction
    return min(worst, down, up), max(best, down, up)
