"""The forms in which candle files come, read into columns."""

# pyarrow comes without type information:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.candle_files.quality import Bars, Problem, QualityReport
from adapters.candle_files.times import TIME_COLUMNS, ZONED_COLUMNS, read_times
from runtime.errors import InvalidMarketData

_HEADERLESS = ("instrument", "date", "time", "open", "high", "low", "close", "volume", "oi")
_PRICES = ("open", "high", "low", "close")
_SYNONYMS = {
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "vol": "volume",
    "vol.": "volume",
    "symbol": "instrument",
    "ticker": "instrument",
    "tradingsymbol": "instrument",
    **dict.fromkeys(("", "unnamed: 0"), "index"),
}
"""Other names of the same columns; pandas writes an index without a name."""


class RawFile(NamedTuple):
    """`symbols`: distinct values of the instrument column, none where there is no such column. `zone` None: the file does not say."""

    bars: Bars
    zone: tzinfo | None
    symbols: tuple[str, ...]


def read_raw(path: Path, start: date | None, end: date | None, report: QualityReport) -> RawFile:
    """Rows of `path` labelled from `start` to `end`, a day more on each side; unreadable rows are counted in `report`.

    Raises:
        InvalidMarketData: not a file in one of the known forms.
    """
    try:
        table = _read_parquet(path, start, end) if path.suffix == ".parquet" else _read_text(path, report)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise InvalidMarketData("candle file", str(path), f"cannot be read: {error}") from error
    absent = [name for name in _PRICES if name not in table.column_names]
    if absent:
        names = pq.read_schema(path).names if path.suffix == ".parquet" else table.column_names
        raise InvalidMarketData("candle file", str(path), f"lacks {', '.join(absent)}; its columns are {', '.join(names)}")
    at, zone = read_times(table, path)
    symbols: tuple[str, ...] = (
        tuple(pc.unique(table["instrument"]).cast(pa.string()).to_pylist()) if "instrument" in table.column_names else ()
    )
    names = [*_PRICES, "volume"] if "volume" in table.column_names else list(_PRICES)
    values = np.column_stack([_floats(table[name]) for name in names])
    report.rows += len(at)
    readable = ~np.isnat(at)
    if not readable.all():
        report.add(
            Problem.UNREADABLE, int((~readable).sum()), "refused", (f"row {row}: no time" for row in np.flatnonzero(~readable).tolist())
        )
    return RawFile(Bars(at, values).keep(readable), zone, symbols)


def _read_parquet(path: Path, start: date | None, end: date | None) -> pa.Table:
    names = pq.read_schema(path).names
    column = next((name for name in names if name in ZONED_COLUMNS), None)
    filters: list[tuple[str, str, Any]] = []
    if column and start:
        filters.append((column, ">=", datetime.combine(start - timedelta(days=1), datetime.min.time())))
    if column and end:
        filters.append((column, "<", datetime.combine(end + timedelta(days=2), datetime.min.time())))
    wanted = [name for name in names if _plain(name) in {*TIME_COLUMNS, *_HEADERLESS}]
    table = pq.read_table(path, columns=wanted, filters=filters or None)
    return table.rename_columns([_plain(name) for name in table.column_names])


def _plain(name: str) -> str:
    name = name.strip().strip('"').lower()
    return _SYNONYMS.get(name, name)


def _read_text(path: Path, report: QualityReport) -> pa.Table:
    with path.open(encoding="utf-8-sig") as file:
        head = [_plain(field) for field in file.readline().split(",")]
    has_header = "open" in head
    names = head if has_header else list(_HEADERLESS[: len(head)])
    torn: list[str] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        torn.append(f"{row.actual_columns} fields for {row.expected_columns}: {row.text}")
        return "skip"

    table = pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(column_names=names, skip_rows=int(has_header)),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True),
    )
    report.rows += len(torn)
    report.add(Problem.UNREADABLE, len(torn), "refused", torn)
    return table


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Text that is no number becomes NaN, and the row is refused as such."""
    if pa.types.is_string(column.type):
        number = pc.match_substring_regex(column, r"^\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$")
        column = pc.utf8_trim_whitespace(pc.if_else(number, column, None))
    return column.cast(pa.float64()).to_numpy().astype(np.float64)
