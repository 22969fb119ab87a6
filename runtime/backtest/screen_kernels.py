"""The screening lane's compiled loops: whole numbers of ticks and of the smallest unit of money, so that nothing is rounded twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.compiled import kernel
from runtime.kernel_strategy import FLAT_CODE, Bar, Step

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@kernel
def screen(
    step: Step,
    state: Any,
    parameters: Sequence[float],
    values: Any,
    session: Integers,
    minute: Integers,
    time: Integers,
    opens: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    stale: NDArray[np.int8],
    first: int,
    at_close: int,
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    code_of: NDArray[np.int8],
    turned: NDArray[np.int8],
) -> int:
    """Walk all candles and write down the trades of who follows every signal: entry and exit row, side, the code that led to it,
    and the side that the signal to leave was for (0: out).

    Signals count from row `first` on. `stale` marks the rows after which the next open comes too late to enter on what was said
    on them: a reversal across it only closes. A fill is on the row after its signal, with `at_close` on the signal's own row. The
    trade still open at the end leaves on the row behind the last. Returns the number of trades.
    """
    held, count, lag, last = 0, 0, 1 - at_close, len(close)
    unknown = np.nan
    for row in range(last):
        bar = Bar(
            float(session[row]), float(minute[row]), float(time[row]), opens[row], high[row], low[row], close[row], volume[row], unknown
        )
        code = step(state, parameters, values, bar)
        if code == 0 or row < first or row + lag >= last:
            continue
        wanted = 0 if code == FLAT_CODE else (1 if code > 0 else -1)
        if wanted == held:
            continue
        if held != 0:
            leave[count], turned[count] = row + lag, wanted
            count += 1
            if at_close == 0 and stale[row] == 1:
                wanted = 0
        held = wanted
        if held != 0:
            entry[count], side[count], code_of[count] = row + lag, held, code
    if held != 0:
        leave[count], turned[count] = last, 0
        count += 1
    return count


@kernel
def settle(
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    count: int,
    price: Integers,
    last_close: int,
    slip: int,
    quantity: int,
    fee_multiplier: int,
    fee_divisor: int,
    entry_price: Integers,
    exit_price: Integers,
    gross: Integers,
    entry_fee: Integers,
    exit_fee: Integers,
) -> None:
    """Prices and money of the trades found.

    `price`: in ticks, of the rows on which fills happen; `last_close` serves a trade that is open at the end. `slip`: ticks
    against the trader, but no price falls below one tick. `quantity`: in lots' smallest unit. A fee is
    price × quantity × `fee_multiplier` / `fee_divisor`, rounded half up to whole cents.
    """
    rows = len(price)
    for at in range(count):
        sign = int(side[at])
        bought = max(price[entry[at]] + slip * sign, 1)
        sold = max((price[leave[at]] if leave[at] < rows else last_close) - slip * sign, 1)
        entry_price[at], exit_price[at] = bought, sold
        gross[at] = (sold - bought) * quantity * sign
        entry_fee[at] = (2 * bought * quantity * fee_multiplier + fee_divisor) // (2 * fee_divisor)
        exit_fee[at] = (2 * sold * quantity * fee_multiplier + fee_divisor) // (2 * fee_divisor)


@kernel
def mark_days(
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    net: Floats,
    entry_fees: Floats,
    entry_price: Floats,
    count: int,
    ends: Integers,
    close: Floats,
    quantity: Floats,
    at_end: int,
    capital: float,
    equity: Floats,
) -> None:
    """Equity at each day's end (rows `ends`): capital, what is realised, and the open trade's mark less its entry fee.

    A trade that leaves on the row behind the last is sold at the last close when `at_end` is 1, else it stays open.
    """
    realised, trade, rows = 0.0, 0, len(close)
    for day in range(len(ends)):
        row = ends[day]
        while trade < count and (leave[trade] <= row or (at_end == 1 and leave[trade] == rows and row == rows - 1)):
            realised += net[trade]
            trade += 1
        equity[day] = capital + realised
        if trade < count and entry[trade] <= row:
            equity[day] += (close[row] - entry_price[trade]) * side[trade] * quantity[trade] - entry_fees[trade]


@kernel
def excursions(
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    entry_price: Floats,
    exit_price: Floats,
    count: int,
    low: Floats,
    high: Floats,
    at_close: int,
    worst: Floats,
    best: Floats,
) -> None:
    """Largest loss and gain per unit over the whole candles held and at the exit."""
    for at in range(count):
        sign, price = float(side[at]), entry_price[at]
        last = (exit_price[at] - price) * sign
        most, least = max(last, 0.0), min(last, 0.0)
        for row in range(entry[at] + at_close, min(leave[at] + at_close, len(low))):
            down, up = (low[row] - price) * sign, (high[row] - price) * sign
            most, least = max(most, down, up), min(least, down, up)
        worst[at], best[at] = least, most


@kernel
def book_user(
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    count: int,
    bought: Integers,
    sold: Integers,
    decided: Integers,
    worst: Floats,
    fixed: int,
    budget: int,
    lot: int,
    fee_multiplier: int,
    fee_divisor: int,
    gross_in_net: int,
    cents_in_net: int,
    net_divisor: float,
    unit_divisor: float,
    price_of_tick: float,
    day: Integers,
    net: Floats,
    entry_fees: Floats,
    quantity: Floats,
    closed: Floats,
    open_worst: Floats,
    orders: Integers,
    totals: Floats,
) -> int:
    """One user's own size and money on trades that everybody shares; 0 if some trade is too small for a lot, else 1.

    Sizes are whole numbers of the lot's smallest unit: `fixed`, or where that is 0 the lots that `budget` (money × units, in
    ticks) buys at the price decided on. `closed`, `open_worst` and `orders` get per day the net losses realised, the worst that an
    open position was worth, and the orders sent; `totals` gross, fees, net and the largest notional.
    """
    totals[:] = 0.0
    closed[:] = 0.0
    open_worst[:] = 0.0
    orders[:] = 0
    rows = len(day)
    for at in range(count):
        size = fixed if fixed > 0 else budget // (decided[at] * lot) * lot
        if size <= 0:
            return 0
        gross = (sold[at] - bought[at]) * size * int(side[at])
        first = (2 * bought[at] * size * fee_multiplier + fee_divisor) // (2 * fee_divisor)
        second = (2 * sold[at] * size * fee_multiplier + fee_divisor) // (2 * fee_divisor)
        net[at] = (gross * gross_in_net - (first + second) * cents_in_net) / net_divisor
        entry_fees[at], quantity[at] = first / 100.0, size / unit_divisor
        opened, left = day[entry[at]], day[min(leave[at], rows - 1)]
        closed[left] += min(net[at], 0.0)
        for held in range(opened, left + 1):
            open_worst[held] = min(open_worst[held], worst[at] * quantity[at] - (first + second) / 100.0)
        orders[opened] += 1
        orders[left] += 1
        totals[0] += gross * gross_in_net / net_divisor
        totals[1] += (first + second) / 100.0
        totals[2] += net[at]
        totals[3] = max(totals[3], decided[at] * price_of_tick * quantity[at])
    return 1
