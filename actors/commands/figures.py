"""The figures of a backtest, for people: their names, and how each is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["count", "money", "percent", "ratio", "duration"]


class FigureName(NamedTuple):
    """`name` in `Metrics`, `label` for people."""

    name: str
    label: str
    kind: Kind


FIGURES: Sequence[FigureName] = (
    FigureName("net_profit", "net profit", "money"),
    FigureName("total_return", "total return", "percent"),
    FigureName("cagr", "growth a year (CAGR)", "percent"),
    FigureName("final_equity", "final equity", "money"),
    FigureName("gross_profit", "profit before fees", "money"),
    FigureName("fees", "fees", "money"),
    FigureName("max_drawdown_percent", "largest drawdown", "percent"),
    FigureName("max_drawdown", "largest drawdown", "money"),
    FigureName("max_drawdown_days", "longest drawdown, days", "count"),
    FigureName("sharpe", "Sharpe", "ratio"),
    FigureName("sortino", "Sortino", "ratio"),
    FigureName("calmar", "Calmar", "ratio"),
    FigureName("volatility", "volatility a year", "percent"),
    FigureName("trades", "trades", "count"),
    FigureName("win_rate", "win rate", "percent"),
    FigureName("profit_factor", "profit factor", "ratio"),
    FigureName("expectancy", "expectancy of a trade", "money"),
    FigureName("average_win", "average win", "money"),
    FigureName("average_loss", "average loss", "money"),
    FigureName("largest_win", "largest win", "money"),
    FigureName("largest_loss", "largest loss", "money"),
    FigureName("average_seconds_held", "average time held", "duration"),
    FigureName("exposure", "time in the market", "percent"),
    FigureName("days", "trading days", "count"),
)


def figure(value: float | None, kind: Kind, currency: str = "") -> str:
    """`–` for a figure that is not defined, such as the average win where nothing was won."""
    if value is None:
        return "–"
    match kind:
        case "count":
            return f"{value:,.0f}"
        case "money":
            return f"{value:,.2f} {currency}".rstrip()
        case "percent":
            return f"{value:.2%}"
        case "ratio":
            return f"{value:,.2f}"
        case "duration":
            hours, minutes = divmod(round(value / 60), 60)
            return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
