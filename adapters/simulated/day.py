"""One simulated trading day: what the whole market did at each step of its grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import log

import msgspec
import numpy as np
from numpy.random import Generator

from adapters.simulated import paths
from adapters.simulated.config import Halt, SimulationConfig, WindowEvent
from adapters.simulated.contracts import TICK
from adapters.simulated.paths import Array, Mask, Steps
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidMarketData
from runtime.market import Candle, Timeframe

_MINUTE = timedelta(minutes=1)
_VOLATILITY_LEVERAGE = -8.0
"""Log change of implied volatility per log change of the index: it rises by about 8 % when the index falls by 1 %."""


class Grid:
    """The steps of one session, `per_second` of them a second (perhaps less than one), from its first open to its last close.

    Step i starts at `times[i]` and ends at `times[i + 1]`; all times in UTC.
    """

    def __init__(self, day: date, config: SimulationConfig, calendar: ExchangeCalendar) -> None:
        parts = calendar.session(day)
        self.day = day
        self.per_second = Fraction(config.ticks_per_second, config.seconds_per_tick)
        self.per_minute = int(60 * self.per_second)
        self.opened_at, self.closed_at = parts[0][0].astimezone(UTC), parts[-1][1].astimezone(UTC)
        self.minutes = (self.closed_at - self.opened_at) // _MINUTE
        self.steps = self.minutes * self.per_minute
        self._zone = calendar.zone
        self.open = np.ones(self.steps, dtype=np.bool_)
        """False in the pause of a session in parts."""
        for (_, closes), (opens, _) in pairwise(parts):
            self.open[self.first_step(closes) : self.first_step(opens)] = False

    @cached_property
    def times(self) -> Sequence[datetime]:
        """Start of every step, and the end of the last: `steps` + 1 values."""
        ticks, seconds = self.per_second.as_integer_ratio()
        return [self.opened_at + timedelta(microseconds=step * seconds * 1_000_000 // ticks) for step in range(self.steps + 1)]

    def first_step(self, ts: datetime) -> int:
        """The first step that starts at `ts` or later, within 0 … steps."""
        microseconds = (ts - self.opened_at) // timedelta(microseconds=1)
        return min(max(-(-microseconds * self.per_second // 1_000_000), 0), self.steps)

    def window(self, event: WindowEvent) -> tuple[int, int]:
        """First step of a special event's window, and the first after it."""
        start = datetime.combine(self.day, event.start, self._zone).astimezone(UTC)
        return self.first_step(start), self.first_step(start + timedelta(minutes=event.minutes))


class MarketDay(msgspec.Struct, frozen=True, kw_only=True):
    """Arrays have one value per step of `grid`.

    `live`: whether anything trades. `spot`: the index, on the tick. `traded`: share of an average day's trading done so
    far. `volatility`: implied volatility at the money, a fraction per year. `basis_noise`: log deviation of the future
    from its fair value.
    """

    grid: Grid
    live: Mask
    spot: Array
    traded: Array
    volatility: Array
    basis_noise: Array

    @property
    def date(self) -> date:
        return self.grid.day

    def step_at(self, ts: datetime) -> int:
        """The last step that traded and started before `ts` (at the open: the first that trades)."""
        upto = max(self.grid.first_step(ts), 1)
        live = np.flatnonzero(self.live[:upto])
        return int(live[-1]) if len(live) else int(np.argmax(self.live))

    def live_steps(self, per_second: int | Fraction) -> Steps:
        """Steps at which an instrument with so many ticks a second trades; every one if there are fewer."""
        stride = max(int(self.grid.per_second // per_second), 1)
        steps = np.arange(0, self.grid.steps, stride)
        return steps[self.live[steps]]


def build_day(
    grid: Grid, config: SimulationConfig, random: Callable[[str], Generator], *, open_price: float, shape: Array, candles: Sequence[Candle]
) -> MarketDay:
    """From recorded `candles` where there are any, else `open_price` moved along `shape` (log prices per step)."""
    live = grid.open.copy()
    if candles:
        spot = _replayed(grid, random("candles"), candles, live)
    else:
        spot = paths.to_tick(open_price * np.exp(shape), TICK)
    for halt in config.specials(Halt, grid.day):
        first, end = grid.window(halt)
        live[first:end] = False
    if not live.any():
        raise InvalidMarketData("special", [str(halt) for halt in config.specials(Halt, grid.day)], f"{grid.day} never trades")
    leverage = _VOLATILITY_LEVERAGE * np.log(spot / spot[0])
    noise = paths.slow_noise(random("volatility"), grid.minutes, grid.per_minute, 0.04)
    return MarketDay(
        grid=grid,
        live=live,
        spot=spot,
        traded=paths.activity(random("activity"), spot, grid.minutes, grid.per_minute, live),
        volatility=config.annual_volatility * np.exp(leverage + noise),
        basis_noise=paths.slow_noise(random("basis"), grid.minutes, grid.per_minute, 0.0003),
    )


def generated_shape(grid: Grid, config: SimulationConfig, random: Callable[[str], Generator]) -> Array:
    """Log price per step relative to the open."""
    return paths.log_path(random("path"), grid.minutes, grid.per_minute, config.annual_volatility)


def last_log_price(candles: Sequence[Candle]) -> float:
    """Log price of the close relative to the open."""
    return log(candles[-1].close / candles[0].open)


def _replayed(grid: Grid, random: Generator, candles: Sequence[Candle], live: Mask) -> Array:
    """Prices that rebuild `candles`; minutes without a candle do not trade and keep the last close."""
    rows = np.full((grid.minutes, 4), np.nan)
    previous = grid.opened_at - _MINUTE
    for candle in candles:
        minute, off = divmod(candle.opened_at - grid.opened_at, _MINUTE)
        if off or not 0 <= minute < grid.minutes or candle.opened_at <= previous or candle.timeframe is not Timeframe.M1:
            fix = f"1-minute candles of {grid.day} must ascend and lie in the session {grid.opened_at}–{grid.closed_at}"
            raise InvalidMarketData("candles", (candle.opened_at, candle.timeframe), fix)
        rows[minute] = candle.open, candle.high, candle.low, candle.close
        previous = candle.opened_at
    recorded = np.isfinite(rows[:, 0])
    live &= np.repeat(recorded, grid.per_minute)
    source = np.maximum.accumulate(np.where(recorded, np.arange(grid.minutes), -1))
    filled = np.where(recorded[:, None], rows, rows[np.maximum(source, np.argmax(recorded)), 3][:, None])
    return paths.candle_path(random, filled, grid.per_minute, TICK)
