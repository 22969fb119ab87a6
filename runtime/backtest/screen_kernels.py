"""The screening lane's compiled loops: whole numbers of ticks and of the smallest unit of money, so that nothing is rounded twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.compiled import kernel
from runtime.kernel_strategy import FLAT_CODE, Bar, step

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


OUT, STOPPED, TARGETED = 0, 2, 3
"""Why a trade was left, besides +1 and -1: a reversal to that side."""
UNPRICED = -1
NO_LEVEL, DISTANCE, PRICE = 0, 1, 2
"""Kinds of level: none, so far from the entry, or a price of its own."""

Level = tuple[int, int, int, int]
"""(kind, points, percent, divisor): points / divisor + entry × percent / divisor ticks; of a PRICE its points alone."""


@kernel
def level_at(entry: int, sign: int, level: Level) -> int:
    """In ticks, on the side `sign` of an entry in ticks; the nearest tick, halves to even, and never below one."""
    kind, points, percent, divisor = level
    exact = points if kind == PRICE else entry * divisor + sign * (points + entry * percent)
    ticks = exact // divisor
    twice = 2 * (exact - ticks * divisor)
    if twice > divisor or (twice == divisor and ticks % 2 == 1):
        ticks += 1
    return max(ticks, 1)


@kernel
def size_of(price: int, side: int, stop: Level, sizing: tuple[int, int, int, int, int]) -> int:
    """Lots of an entry decided on at `price`; 0 when there is none to be had.

    `sizing`: (fixed lots, lots × ticks that may be lost at the stop, the same without one, lots × ticks of notional at most, at
    least). Of the first three those count that are not 0.
    """
    fixed, risked, unstopped, most, least = sizing
    lots = fixed
    if fixed == 0:
        distance = 0 if stop[0] == NO_LEVEL else abs(price - level_at(price, -side, stop))
        lots = min(risked // distance if distance > 0 else unstopped // price, most // price)
    return lots if lots * price >= least else 0


@kernel
def met(side: int, opens: float, high: float, low: float, stop: float, target: float) -> int:
    """Which level a candle meets: (0 none, 1 the stop, 2 the target) and 2 more where its open already does. The stop comes first."""
    if side > 0:
        if opens <= stop or opens >= target:
            return 3 if opens <= stop else 4
        return 1 if low <= stop else 2 if high >= target else 0
    if opens >= stop or opens <= target:
        return 3 if opens >= stop else 4
    return 1 if high >= stop else 2 if low <= target else 0


class Columns(NamedTuple):
    """Candles as a step sees them, which of their closes are `stale` for the next open, and opens and closes in ticks."""

    session: Integers
    minute: Integers
    time: Integers
    opens: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    stale: NDArray[np.int8]
    open_ticks: Integers
    close_ticks: Integers


class Trades(NamedTuple):
    """Entry and exit row, side, the code that led to it, why it was left, lots, and the price in ticks of a level that was met
    (`UNPRICED`: that of its row).
    """

    entry: Integers
    leave: Integers
    side: NDArray[np.int8]
    code: NDArray[np.int8]
    turned: NDArray[np.int8]
    size: Integers
    left_at: Integers


class Rules(NamedTuple):
    """`tick` is (numerator, divisor); `at_close` 1 where orders are filled at the close that led to them; `slip` in ticks."""

    first: int
    at_close: int
    slip: int
    tick: tuple[int, float]
    stop: Level
    target: Level
    sizing: tuple[int, int, int, int, int]


@kernel
def levels_at(price: int, side: int, rules: Rules) -> tuple[int, int, float, float]:
    """Of an entry: stop and target in ticks, and as prices; those that there are not lie beyond every price."""
    stop, target = level_at(price, -side, rules.stop), level_at(price, side, rules.target)
    numerator, divisor = rules.tick
    beyond = np.inf * side
    return (
        stop,
        target,
        -beyond if rules.stop[0] == NO_LEVEL else stop * numerator / divisor,
        beyond if rules.target[0] == NO_LEVEL else target * numerator / divisor,
    )


@kernel
def screen(state: Any, parameters: Sequence[float], values: Any, bars: Columns, rules: Rules, out: Trades) -> int:
    """Walk all candles and write down the trades of who follows every signal and leaves at stop and target.

    Signals count from row `first` on. `stale` marks the rows after which the next open comes too late to enter on what was said
    on them: a reversal across it only closes. A fill is on the row after its signal, with `at_close` on the signal's own row. The
    trade still open at the end leaves on the row behind the last. Returns the number of trades.
    """
    entry, leave, side, code_of, turned, size, left_at = out
    first, at_close, slip, stop, target, sizing = rules.first, rules.at_close, rules.slip, rules.stop, rules.target, rules.sizing
    opens, high, low, close = bars.opens, bars.high, bars.low, bars.close
    held, count, lag, last = 0, 0, 1 - at_close, len(close)
    guarded, sizes_vary = stop[0] != NO_LEVEL or target[0] != NO_LEVEL, sizing[0] == 0 or sizing[4] > 0
    levels = (0, 0, 0.0, 0.0)
    for row in range(last):
        if guarded and held != 0 and row >= entry[count] + at_close:
            what = met(held, opens[row], high[row], low[row], levels[2], levels[3])
            if what != 0:
                leave[count], turned[count] = row, STOPPED if what % 2 == 1 else TARGETED
                left_at[count] = bars.open_ticks[row] if what > 2 else levels[0] if what == 1 else levels[1]
                count += 1
                held = 0
        session, minute, time = float(bars.session[row]), float(bars.minute[row]), float(bars.time[row])
        bar = Bar(session, minute, time, opens[row], high[row], low[row], close[row], bars.volume[row], np.nan)
        code = step(state, parameters, values, bar)
        if code == 0 or row < first or row + lag >= last:
            continue
        wanted = 0 if code == FLAT_CODE else (1 if code > 0 else -1)
        if wanted == held:
            continue
        if held != 0:
            leave[count], turned[count], left_at[count] = row + lag, wanted, UNPRICED
            count += 1
            if at_close == 0 and bars.stale[row] == 1:
                wanted = 0
        held = wanted
        lots = sizing[0]
        if held != 0 and sizes_vary:
            lots = size_of(bars.close_ticks[row], held, stop, sizing)
            held = held if lots > 0 else 0
        if held == 0:
            continue
        entry[count], side[count], code_of[count], size[count] = row + lag, held, code, lots
        if guarded:
            price = (bars.close_ticks[row] if at_close == 1 else bars.open_ticks[row + 1]) + slip * held
            levels = levels_at(max(price, 1), held, rules)
    if held != 0:
        leave[count], turned[count], left_at[count] = last, OUT, UNPRICED
        count += 1
    return count


@kernel
def settle(
    entry: Integers,
    leave: Integers,
    side: NDArray[np.int8],
    size: Integers,
    left_at: Integers,
    count: int,
    price: Integers,
    last_close: int,
    slip: int,
    lot: int,
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
    against the trader, but no price falls below one tick. `lot`: in the smallest unit of quantity. A fee is
    price × quantity × `fee_multiplier` / `fee_divisor`, rounded half up to whole cents.
    """
    rows = len(price)
    for at in range(count):
        sign, quantity = int(side[at]), size[at] * lot
        bought = max(price[entry[at]] + slip * sign, 1)
        seen = left_at[at] if left_at[at] != UNPRICED else price[leave[at]] if leave[at] < rows else last_close
        sold = max(seen - slip * sign, 1)
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
    left_at: Integers,
    worst: Floats,
    best: Floats,
) -> None:
    """Largest loss and gain per unit over the whole candles held and at the exit."""
    for at in range(count):
        sign, price = float(side[at]), entry_price[at]
        last = (exit_price[at] - price) * sign
        most, least = max(last, 0.0), min(last, 0.0)
        until = leave[at] + at_close if left_at[at] == UNPRICED else leave[at]
        for row in range(entry[at] + at_close, min(until, len(low))):
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
