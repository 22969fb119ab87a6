"""Figures of merit of a trade list and its equity curve. Formulas as empyrical's, which the tests compare with."""

from __future__ import annotations

from math import sqrt
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

TRADING_DAYS, CALENDAR_DAYS = 252, 365
_DAYS_A_YEAR = 365.25


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Money in the instrument's currency; rates and percentages as fractions (0.05 is 5 %); None where not defined.

    `sharpe`, `sortino`, `volatility`: of daily returns, times the root of `days_per_year` (252, or 365 for a market that never
    closes). `cagr`: by calendar time. `max_drawdown`: largest fall from a peak of the equity curve in money (zero or below),
    `max_drawdown_percent` the largest relative one, `max_drawdown_days` the longest time from a peak until it was reached
    again (or the end), in calendar days. `exposure`: share of the bars with an open position. `expectancy`: mean net profit
    of a trade. `profit_factor`: net gains over net losses. Wins and losses are counted by net profit.
    """

    trades: int
    wins: int
    losses: int
    win_rate: float | None
    gross_profit: float
    fees: float
    net_profit: float
    average_win: float | None
    average_loss: float | None
    largest_win: float | None
    largest_loss: float | None
    profit_factor: float | None
    expectancy: float | None
    sharpe: float | None
    sortino: float | None
    volatility: float | None
    cagr: float | None
    total_return: float
    max_drawdown: float
    max_drawdown_percent: float
    max_drawdown_days: int
    calmar: float | None
    exposure: float
    average_bars_held: float | None
    average_seconds_held: float | None
    days: int
    days_per_year: int
    final_equity: float


def daily_returns(equity: Floats, capital: float) -> Floats:
    """Each day's change as a fraction of the day before's equity, the first day's of `capital`."""
    before = np.concatenate(([capital], equity[:-1]))
    return equity / before - 1.0


def volatility(returns: Floats, periods: int) -> float | None:
    """Annual standard deviation (n − 1); None below two returns."""
    return None if len(returns) < 2 else float(returns.std(ddof=1)) * sqrt(periods)


def sharpe_ratio(returns: Floats, periods: int) -> float | None:
    """Mean over standard deviation (n − 1), annualised; risk-free rate 0. None without any deviation."""
    if len(returns) < 2 or returns.min() == returns.max():  # whose deviation would be rounding noise
        return None
    return float(returns.mean()) / float(returns.std(ddof=1)) * sqrt(periods)


def sortino_ratio(returns: Floats, periods: int) -> float | None:
    """Mean over the root mean square of the losses (of all days), annualised. None without a loss."""
    if len(returns) < 2:
        return None
    downside = sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(returns.mean()) / downside * sqrt(periods) if downside > 0.0 else None


def drawdowns(equity: Floats, capital: float) -> Floats:
    """Money below the highest equity so far, `capital` included; zero or below."""
    return equity - np.maximum(np.maximum.accumulate(equity), capital)


def max_drawdown_percent(equity: Floats, capital: float) -> float:
    """Largest fall from a peak as a fraction of it, zero or below."""
    peaks = np.maximum(np.maximum.accumulate(equity), capital)
    return float(min(np.min(equity / peaks - 1.0, initial=0.0), 0.0))


def max_drawdown_days(equity: Floats, capital: float, days: NDArray[np.datetime64]) -> int:
    """Longest time under water in calendar days, from the day of the peak to the day that reaches it again, or the last day."""
    under_water = drawdowns(equity, capital) < 0.0
    if not under_water.any():
        return 0
    peak = np.maximum.accumulate(np.where(under_water, 0, np.arange(len(equity))))  # row of the last peak
    began = np.concatenate(([0], peak[:-1]))
    spent = under_water | np.concatenate(([False], under_water[:-1]))
    return int(((days - days[began]).astype(np.int64))[spent].max())


def cagr(final: float, capital: float, days: NDArray[np.datetime64]) -> float | None:
    """Growth a year by calendar time; None for less than a day or a lost account."""
    years = float((days[-1] - days[0]).astype(np.int64)) / _DAYS_A_YEAR if len(days) else 0.0
    return (final / capital) ** (1.0 / years) - 1.0 if years > 0.0 and final > 0.0 else None


def measure(
    *,
    net: Floats,
    fees: Floats,
    gross: Floats,
    bars_held: NDArray[np.int64],
    seconds_held: NDArray[np.int64],
    equity: Floats,
    days: NDArray[np.datetime64],
    bars: int,
    capital: float,
    days_per_year: int,
) -> Metrics:
    """`net`, `fees`, `gross`, `bars_held`, `seconds_held`: one per trade; `equity`: one per day of `days`; `bars`: candles traded over."""
    won, lost = net[net > 0.0], net[net < 0.0]
    returns = daily_returns(equity, capital)
    final = float(equity[-1]) if len(equity) else capital
    growth, fall = cagr(final, capital, days), max_drawdown_percent(equity, capital)
    count = len(net)
    return Metrics(
        trades=count,
        wins=len(won),
        losses=len(lost),
        win_rate=len(won) / count if count else None,
        gross_profit=float(gross.sum()),
        fees=float(fees.sum()),
        net_profit=float(net.sum()),
        average_win=float(won.mean()) if len(won) else None,
        average_loss=float(lost.mean()) if len(lost) else None,
        largest_win=float(won.max()) if len(won) else None,
        largest_loss=float(lost.min()) if len(lost) else None,
        profit_factor=float(won.sum() / -lost.sum()) if len(lost) else None,
        expectancy=float(net.mean()) if count else None,
        sharpe=sharpe_ratio(returns, days_per_year),
        sortino=sortino_ratio(returns, days_per_year),
        volatility=volatility(returns, days_per_year),
        cagr=growth,
        total_return=final / capital - 1.0,
        max_drawdown=float(min(np.min(drawdowns(equity, capital), initial=0.0), 0.0)),
        max_drawdown_percent=fall,
        max_drawdown_days=max_drawdown_days(equity, capital, days),
        calmar=growth / -fall if growth is not None and fall < 0.0 else None,
        exposure=float(bars_held.sum()) / bars if bars else 0.0,
        average_bars_held=float(bars_held.mean()) if count else None,
        average_seconds_held=float(seconds_held.mean()) if count else None,
        days=len(equity),
        days_per_year=days_per_year,
        final_equity=final,
    )
