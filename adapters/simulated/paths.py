"""Price paths and trading activity of one day, on a fixed grid of steps. Pure functions of their random generator."""

from __future__ import annotations

from math import sqrt
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Steps: TypeAlias = NDArray[np.int64]

TRADING_DAYS = 252
INTRADAY_SHARE = 0.75
"""Share of a day's variance that falls into the session; the rest is the overnight move."""

_CLUSTER_MEMORY, _CLUSTER_SHOCK = 0.95, 0.12  # AR(1) of the log volatility, per minute
_REGIME_MINUTES = 25
_REGIME_DRIFTS = (-0.35, -0.15, 0.0, 0.15, 0.35)  # standard deviations per minute: a trend doubles a typical half hour's move
_PATH_NOISE = 0.06  # of a minute's range, around the straight lines between a recorded candle's prices
_SHARE_CLAMP = 4.0


def intraday_shape(minutes: int) -> Array:
    """Volatility per minute of the session, U-shaped, with mean square 1."""
    x = (np.arange(minutes) + 0.5) / minutes
    shape = 0.75 + 0.9 * np.exp(-x / 0.06) + 0.5 * np.exp(-(1.0 - x) / 0.08)
    return shape / np.sqrt(np.mean(shape * shape))


def log_path(rng: Generator, minutes: int, steps_per_minute: int, annual_volatility: float) -> Array:
    """Log price per step relative to the open: U-shaped and clustered volatility, with stretches of trend."""
    minute_sigma = annual_volatility * sqrt(INTRADAY_SHARE / TRADING_DAYS / minutes)
    shocks = rng.standard_normal(minutes) * _CLUSTER_SHOCK
    log_volatility = np.empty(minutes)
    level = 0.0
    for minute in range(minutes):
        level = _CLUSTER_MEMORY * level + shocks[minute]
        log_volatility[minute] = level
    regimes = np.cumsum(rng.random(minutes) < 1.0 / _REGIME_MINUTES)
    drifts = rng.choice(_REGIME_DRIFTS, size=minutes + 1)[regimes]
    volatility = intraday_shape(minutes) * np.exp(log_volatility) * minute_sigma
    returns = rng.standard_normal((minutes, steps_per_minute)) * (volatility / sqrt(steps_per_minute))[:, None]
    returns += (drifts * minute_sigma / steps_per_minute)[:, None]
    path = returns.reshape(-1)
    path[0] = 0.0
    return np.cumsum(path)


def candle_path(rng: Generator, candles: Array, steps_per_minute: int, tick: float) -> Array:
    """Prices per step, shape (minutes × steps_per_minute,), of which each minute has exactly the given open, high, low, close.

    `candles` has shape (minutes, 4). Each minute runs open → low → high → close or open → high → low → close; a rising
    minute prefers the first.
    """
    minutes, last = len(candles), steps_per_minute - 1
    opens, highs, lows, closes = (candles[:, column] for column in range(4))
    high_first = rng.random(minutes) < np.where(closes < opens, 0.7, 0.3)
    turns = (np.where(high_first, highs, lows), np.where(high_first, lows, highs))
    middle = steps_per_minute // 2
    at = (rng.integers(1, middle, minutes), rng.integers(middle, last, minutes))
    step = np.arange(steps_per_minute)[None, :]
    prices = np.select(
        [step <= at[0][:, None], step <= at[1][:, None]],
        [_line(step, 0, at[0], opens, turns[0]), _line(step, at[0], at[1], turns[0], turns[1])],
        _line(step, at[1], last, turns[1], closes),
    )
    prices += rng.standard_normal(prices.shape) * ((highs - lows) * _PATH_NOISE)[:, None]
    prices = np.clip(to_tick(prices, tick), lows[:, None], highs[:, None])
    rows = np.arange(minutes)
    prices[rows, 0], prices[rows, at[0]], prices[rows, at[1]], prices[rows, last] = opens, turns[0], turns[1], closes
    return prices.reshape(-1)


def activity(rng: Generator, prices: Array, minutes: int, steps_per_minute: int, live: Mask) -> Array:
    """Share of an average day's trading done up to and including each step, ascending from 0 to about 1.

    Busier at open and close, in moving minutes and in bursts; nothing where the market is not `live`.
    """
    by_minute = prices.reshape(minutes, steps_per_minute)
    moves: Array = by_minute.max(axis=1) - by_minute.min(axis=1)
    moves /= np.mean(moves) or 1.0
    bursts = rng.lognormal(-0.08, 0.4, minutes)
    per_minute = intraday_shape(minutes) * (0.4 + 0.6 * np.minimum(moves, _SHARE_CLAMP)) * bursts
    per_step = np.repeat(per_minute, steps_per_minute) * rng.gamma(0.6, 1.0 / 0.6, len(prices)) * live
    day = rng.lognormal(-0.03, 0.25)
    return np.cumsum(per_step) * (day / (per_step.sum() or 1.0))


def slow_noise(rng: Generator, minutes: int, steps_per_minute: int, sigma: float) -> Array:
    """A smooth random walk around 0 that reaches a standard deviation of `sigma` at the end of the day."""
    walk = np.concatenate(([0.0], np.cumsum(rng.standard_normal(minutes)) * (sigma / sqrt(minutes))))
    return np.interp(np.arange(minutes * steps_per_minute) / steps_per_minute, np.arange(minutes + 1), walk)


def to_tick(prices: Array, tick: float) -> Array:
    """Nearest multiple of `tick` (at most two decimals), at least one tick."""
    return np.round(np.maximum(np.round(prices / tick), 1.0) * tick, 2)


def _line(step: NDArray[np.int64], start: int | Steps, end: int | Steps, first: Array, last: Array) -> Array:
    start_column, end_column = np.reshape(start, (-1, 1)), np.reshape(end, (-1, 1))
    return first[:, None] + (last - first)[:, None] * (step - start_column) / (end_column - start_column)
