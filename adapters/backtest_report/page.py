"""What a page shows, and how it becomes a file. A part that is None or empty is left out of the page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.backtest_report.packing import pack
from runtime.errors import InvalidInput

Kind: TypeAlias = Literal["text", "number", "integer", "ratio", "precise", "percent", "money", "amount", "price", "time", "day", "duration"]
"""How a value is written: `percent` takes a fraction, `duration` seconds, `time` and `day` wall-clock seconds since 1970, `amount` is money without cents."""
Value: TypeAlias = str | float | int | None
"""None is a figure that does not exist, such as the profit factor of no trades; the page shows a dash."""

_SCRIPTS = ("data.js", "charts.js", "candles.js", "tables.js", "trades.js", "main.js")
_LIBRARY = "lightweight-charts.standalone.production.js"


class Badge(msgspec.Struct, frozen=True):
    text: str
    warning: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One headline figure; `signed` colours gains and losses."""

    label: str
    value: Value
    kind: Kind
    note: str | None = None
    signed: bool = False


class Figure(msgspec.Struct, frozen=True):
    label: str
    value: Value
    kind: Kind = "text"


class Column(msgspec.Struct, frozen=True):
    label: str
    kind: Kind = "text"
    signed: bool = False


class Finding(msgspec.Struct, frozen=True):
    problem: str
    count: int
    action: str
    examples: Sequence[str]


class DataQuality(msgspec.Struct, frozen=True, kw_only=True):
    summary: str
    notes: Sequence[str] = ()
    findings: Sequence[Finding] = ()


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of `seconds` each. `time` (wall clock) and `close` hold differences, `open` the distance to the close before, `high` and
    `low` the distance outwards from the body; prices are counted in 1/`scale`.
    """

    seconds: int
    scale: int
    digits: int
    time: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """`time`: ascending wall-clock seconds; `drawdown`: fraction below the peak so far, zero or less; `compared`: another account's equity."""

    time: NDArray[np.int64]
    value: NDArray[np.float64]
    drawdown: NDArray[np.float64]
    compared: NDArray[np.float64] | None = None


class TradeColumn(msgspec.Struct, frozen=True, kw_only=True):
    """`values` are numbers, or with `names` the numbers of names."""

    key: str
    label: str
    kind: Kind
    values: NDArray[np.float64] | NDArray[np.int64]
    names: Sequence[str] | None = None
    signed: bool = False


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """`on_chart`: trades are in the very instrument of the candles, so that their prices can be drawn there."""

    count: int
    on_chart: bool
    columns: Sequence[TradeColumn]


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """Returns as fractions, January first; None outside the period."""

    year: int
    months: Sequence[float | None]
    total: float


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    from_: float = msgspec.field(name="from")
    to: float
    count: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that have something in common."""

    name: str
    trades: int
    win_rate: float
    net: float
    average: float
    profit_factor: float | None


class Breakdown(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    rows: Sequence[Group]


class Axis(msgspec.Struct, frozen=True):
    label: str
    values: Sequence[Value]


class Heat(msgspec.Struct, frozen=True, kw_only=True):
    """`values[y][x]`, None where nothing was computed."""

    x: Axis
    y: Axis
    values: Sequence[Sequence[float | None]]
    kind: Kind = "ratio"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """Equity of many accounts, of which one is shown at a time; `time` as of `Curve`.

    `capital` is what each began with, `median` what had become of one unit of it at the median account.
    """

    names: Sequence[str]
    time: NDArray[np.int64]
    values: Sequence[NDArray[np.float64]]
    capital: NDArray[np.float64]
    median: NDArray[np.float64]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    note: str = ""
    curves: Curves | None = None
    heat: Heat | None = None
    table: Table | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`digits`: decimals of a price. `synthetic`: a sentence at the top, where prices were computed instead of recorded."""

    kind: str
    title: str
    subtitle: str
    currency: str
    digits: int
    cards: Sequence[Card]
    assumptions: Sequence[str]
    parameters: Sequence[Figure]
    quality: DataQuality
    badges: Sequence[Badge] = ()
    synthetic: str | None = None
    statistics: Sequence[Figure] = ()
    equity: Curve | None = None
    bars: Bars | None = None
    trades: Trades | None = None
    months: Sequence[Year] = ()
    distribution: Sequence[Bin] = ()
    breakdown: Sequence[Breakdown] = ()
    sections: Sequence[Section] = ()


def render(page: Page) -> str:
    """The whole file. Equal pages give equal text: nothing of the clock or the machine is in it."""
    assets = {name: _asset(name) for name in ("report.html", "report.css", _LIBRARY, *_SCRIPTS)}
    return Template(assets["report.html"]).substitute(
        title=escape(f"{page.title}: {page.kind}"),
        style=assets["report.css"],
        data=pack(page),
        library=assets[_LIBRARY],
        script="\n".join(assets[name] for name in _SCRIPTS),
    )


def write_page(page: Page, path: Path) -> None:
    """Write the file in one step: a reader finds the old one or the whole new one.

    Raises:
        InvalidInput: the file cannot be written there.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(render(page))
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise InvalidInput("--report", str(path), f"cannot be written: {error.strerror}") from error


def figures(values: Mapping[str, Any]) -> list[Figure]:
    """Settings as they were given, nested ones with dots in their names."""
    found: list[Figure] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += [Figure(f"{name}.{inner.label}", inner.value) for inner in figures(value)]  # pyright: ignore[reportUnknownArgumentType]
        else:
            found.append(Figure(name, "none" if value is None else str(value)))
    return found


def _asset(name: str) -> str:
    return files("adapters.backtest_report").joinpath("assets", name).read_text(encoding="utf-8")
