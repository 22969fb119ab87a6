"""Figures of merit of a trade list and its equity curve. Formulas as empyrical's, which the tests compare with."""

from __future__ import annotations

import msgspec


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Money in the instrument's currency; rates and percentages as fractions (0.05 is 5 %); None where not defined.

    `sharpe`, `sortino`: of daily returns, times the root of `days_per_year` (252, or 365 for a market that never closes).
    `cagr`: by calendar time. `max_drawdown`: largest fall from a peak of the equity curve in money (zero or below),
    `max_drawdown_percent` the largest relative one, `max_drawdown_days` the longest time from a peak until it was
    reached again, in calendar days. `exposure`: share of the bars with an open position. `expectancy`: mean net profit of
    a trade. `profit_factor`: gains over losses, both net.
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
