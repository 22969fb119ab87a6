"""The forms in which candle files come, read into columns."""

# pyarrow comes without type information:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.candle_files.quality import Bars, Problem, QualityReport
from runtime.errors import InvalidMarketData
from runtime.market import IST

TIME_COLUMNS: dict[str, tzinfo] = {"ts_ist": IST, "ts_utc": UTC, "ts_et": ZoneInfo("America/New_York")}
"""Timestamp columns and the zone of their naive wall-clock times."""
_HEADERLESS = ("instrument", "date", "time", "open", "high", "low", "close", "volume", "oi")
_PRICES = ("open", "high", "low", "close")


class RawFile(NamedTuple):
    """`symbols`: distinct values of the instrument column, none where there is no such column."""

    bars: Bars
    zone: tzinfo
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
        raise InvalidMarketData("candle file", str(path), f"lacks {', '.join(absent)}; its columns are {', '.join(table.column_names)}")
    at, zone = _times(table, path)
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
    column = next((name for name in names if name in TIME_COLUMNS), None)
    filters: list[tuple[str, str, Any]] = []
    if column and start:
        filters.append((column, ">=", datetime.combine(start - timedelta(days=1), datetime.min.time())))
    if column and end:
        filters.append((column, "<", datetime.combine(end + timedelta(days=2), datetime.min.time())))
    wanted = [name for name in names if name.lower() in {*TIME_COLUMNS, *_HEADERLESS}]
    table = pq.read_table(path, columns=wanted, filters=filters or None)
    return table.rename_columns([name.lower() for name in table.column_names])


def _read_text(path: Path, report: QualityReport) -> pa.Table:
    with path.open(encoding="utf-8-sig") as file:
        head = [field.strip().lower() for field in file.readline().split(",")]
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


def _times(table: pa.Table, path: Path) -> tuple[NDArray[np.datetime64], tzinfo]:
    for name, zone in TIME_COLUMNS.items():
        if name in table.column_names:
            column = table[name]
            stamps = column if pa.types.is_timestamp(column.type) else pc.strptime(column, "%Y-%m-%d %H:%M:%S", "s", error_is_null=True)
            return _wall_clock(stamps), zone
    if not {"date", "time"} <= set(table.column_names):
        raise InvalidMarketData("candle file", str(path), f"needs columns Date and Time, or one of {', '.join(TIME_COLUMNS)}")
    day, clock = table["date"].cast(pa.string()), table["time"].cast(pa.string())
    clock = pc.if_else(pc.equal(pc.utf8_length(clock), len("HH:MM")), pc.binary_join_element_wise(clock, "00", ":"), clock)
    stamps = pc.strptime(pc.binary_join_element_wise(day, clock, " "), "%Y%m%d %H:%M:%S", "s", error_is_null=True)
    return _wall_clock(stamps), IST


def _wall_clock(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    return column.cast(pa.timestamp("s"), safe=False).to_numpy().astype("datetime64[s]")


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Text that is no number becomes NaN, and the row is refused as such."""
    if pa.types.is_string(column.type):
        number = pc.match_substring_regex(column, r"^\s*[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?\s*$")
        column = pc.utf8_trim_whitespace(pc.if_else(number, column, None))
    return column.cast(pa.float64()).to_numpy().astype(np.float64)
