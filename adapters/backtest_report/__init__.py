"""Results of backtests, sweeps and walk-forward analyses as one self-contained HTML file each: no network, no server."""

from adapters.backtest_report.backtest import backtest_page
from adapters.backtest_report.page import (
    Axis,
    Badge,
    Card,
    Column,
    Curve,
    DataQuality,
    Figure,
    Finding,
    Heat,
    Page,
    Section,
    Table,
    render,
    write_page,
)

__all__ = [
    "Axis",
    "Badge",
    "Card",
    "Column",
    "Curve",
    "DataQuality",
    "Figure",
    "Finding",
    "Heat",
    "Page",
    "Section",
    "Table",
    "backtest_page",
    "render",
    "write_page",
]
