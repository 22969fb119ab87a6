"""What the simulated options cost, how many are traded and how many are held. Times to expiry in years of 365 days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from adapters.simulated.contracts import TICK
from adapters.simulated.day import MarketDay
from adapters.simulated.paths import Array, Steps, to_tick
from runtime.market import IST, Right
from runtime.options import bsm_price_array

_YEAR = timedelta(days=365)
_YEARS_MIN = 60.0 / _YEAR.total_seconds()  # a minute: the smile is a function of moneyness over the square root of time
_EXPIRY_TIME = time(15, 30)

_SKEW, _SMILE, _MONEYNESS_MAX = -0.05, 0.025, 4.0  # of volatility, per standard deviation of moneyness and its square
_TERM_SLOPE, _TERM_YEARS = 0.05, 30 / 365  # near expiries are dearer by 5 % of volatility per unit of log time

_OPEN_INTEREST = 900_000.0  # units at the most popular strike
_INTEREST_OFFSET, _INTEREST_WIDTH = 0.02, 0.03  # of spot: calls are held above it, puts below
_INTEREST_GROWTH, _INTEREST_TILT = 0.10, 12.0  # per day; per log return of the index: a rise of 1 % adds 12 % of puts
_VOLUME, _VOLUME_WIDTH = 6_000_000.0, 0.012
_SPREAD = 0.0015  # of the price, and at least a tick


def years_to_expiry(expiry: date, ts: datetime) -> float:
    return max((datetime.combine(expiry, _EXPIRY_TIME, IST).astimezone(UTC) - ts) / _YEAR, 0.0)


def implied_volatility(day: MarketDay, steps: ArrayLike, strike: ArrayLike, years: ArrayLike, rate: float) -> Array:
    """At-the-money volatility of the steps, bent by smile and term structure. Arguments broadcast."""
    at_the_money = day.volatility[np.asarray(steps)]
    time_left = np.maximum(np.asarray(years, dtype=np.float64), _YEARS_MIN)
    term = 1.0 + _TERM_SLOPE * np.clip(np.log(_TERM_YEARS / time_left), -1.0, 2.0)
    moneyness = np.log(np.asarray(strike) / day.spot[np.asarray(steps)]) - rate * time_left
    deviations = np.clip(moneyness / (at_the_money * np.sqrt(time_left)), -_MONEYNESS_MAX, _MONEYNESS_MAX)
    return at_the_money * term * (1.0 + _SKEW * deviations + _SMILE * deviations * deviations)


def prices(day: MarketDay, right: Right, steps: ArrayLike, strike: ArrayLike, years: ArrayLike, rate: float) -> Array:
    """Black-Scholes-Merton on the index at these steps, on the tick, at least one tick. Arguments broadcast."""
    volatility = implied_volatility(day, steps, strike, years, rate)
    spot = day.spot[np.asarray(steps)]
    return to_tick(bsm_price_array(right, spot=spot, strike=strike, years=years, rate=rate, volatility=volatility), TICK)


def spreads(price: Array, share: float = _SPREAD) -> tuple[Array, Array]:
    """Bid and ask around the last price, `share` of it apart and at least one tick, never below one tick."""
    ticks = np.maximum(np.ceil(price * (share / TICK)), 1.0)
    below = np.floor(ticks / 2.0)
    bid = to_tick(price - below * TICK, TICK)
    return bid, to_tick(price + (ticks - below) * TICK, TICK)


def volumes(day: MarketDay, strike: ArrayLike, expiry: date, right: Right, steps: ArrayLike, lot_size: float) -> Array:
    """Units traded so far today, in whole lots. Arguments broadcast."""
    strikes = np.asarray(strike, dtype=np.float64)
    distance = np.abs(strikes / day.spot[0] - 1.0) / _VOLUME_WIDTH
    later = 0.25 ** max((expiry - day.date).days // 28, 0)  # the next month trades a quarter of the near one
    share = np.exp(-distance) * popularity(strikes, right) * later
    return np.floor(_VOLUME * share * day.traded[np.asarray(steps)] / lot_size) * lot_size


def open_interest(day: MarketDay, strike: Array, expiry: date, right: Right, step: int, lot_size: float) -> Array:
    """Units held, in whole lots: a rising index sees puts written and calls bought back, so the put-call ratio rises."""
    sign = 1.0 if right is Right.CALL else -1.0
    distance = (strike / day.spot[0] - 1.0 - sign * _INTEREST_OFFSET) / _INTEREST_WIDTH
    later = 0.4 ** max((expiry - day.date).days // 28, 0)
    base = _OPEN_INTEREST * np.exp(-0.5 * distance * distance) * popularity(strike, right) * later
    log_return = float(np.log(day.spot[step] / day.spot[0]))
    change = 1.0 + _INTEREST_GROWTH * sqrt(step / day.grid.steps) - sign * _INTEREST_TILT * log_return
    return np.floor(base * np.clip(change, 0.2, 3.0) / lot_size) * lot_size


def popularity(strike: Array, right: Right) -> Array:
    """Round strikes are held and traded most; the others vary by a fixed pattern."""
    pattern = np.modf(np.abs(np.sin(strike * 12.9898 + (1.0 if right is Right.CALL else 2.0))) * 43758.5453)[0]
    rounded = np.where(strike % 1000 == 0, 1.0, np.where(strike % 500 == 0, 0.65, 0.3))
    return rounded * (0.7 + 0.3 * pattern)


def step_years(day: MarketDay, expiry: date, steps: Steps) -> Array:
    """Time to expiry at the start of each step."""
    left = years_to_expiry(expiry, day.grid.opened_at)
    return np.maximum(left - steps / (float(day.grid.per_second) * _YEAR.total_seconds()), 0.0)
