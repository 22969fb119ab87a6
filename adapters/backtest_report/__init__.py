"""Results of backtests, sweeps and walk-forward analyses as one self-contained HTML file each: no network, no server."""

from adapters.backtest_report.backtest import SYNTHETIC, backtest_page
from adapters.backtest_report.page import (
    Axis,
    Badge,
    Card,
    Column,
    Curve,
    Curves,
    DataQuality,
    Figure,
    Finding,
    Heat,
    Page,
    Section,
    Table,
    figures,
    render,
    write_page,
)

__all__ = [
    "SYNTHETIC",
    "Axis",
    "Badge",
    "Card",
    "Column",
    "Curve",
    "Curves",
    "DataQuality",
    "Figure",
    "Finding",
    "Heat",
    "Page",
    "Section",
    "Table",
    "backtest_page",
    "figures",
    "render",
    "write_page",
]
