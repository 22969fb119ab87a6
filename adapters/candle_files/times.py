"""Time columns as people and vendors write them, read into wall-clock times and the zone they are of."""

# pyarrow comes without type information:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runtime.errors import InvalidMarketData
from runtime.market import IST

ZONED_COLUMNS: dict[str, tzinfo] = {"ts_ist": IST, "ts_utc": UTC, "ts_et": ZoneInfo("America/New_York")}
"""Timestamp columns whose name says the zone of their naive wall-clock times."""
PLAIN_COLUMNS = (
    "timestamp",
    "datetime",
    "date_time",
    "date",
    "time",
    "ts",
    "opened_at",
    "open_time",
    "open time",
    "epoch",
    "unix",
    "__index_level_0__",
    "index",
)
"""Names of a column that holds date and time together, the likeliest first."""
TIME_COLUMNS = (*ZONED_COLUMNS, *PLAIN_COLUMNS)

_NSE_DAY = r"^\d{8}$"
_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d-%m-%Y", "%d/%m/%Y", "%m/%d/%Y", "%m-%d-%Y", "%Y%m%d", "%d-%b-%Y")
_CLOCKS = (" %H:%M:%S", " %H:%M", "")
_UNITS = ((1e17, 10**9), (1e14, 10**6), (1e11, 10**3))
"""An epoch above the first number counts this many parts of a second: until the year 5138 no two readings overlap."""


class Times(NamedTuple):
    """`at`: datetime64[s], wall clock of `zone`, NaT where unreadable. `zone` None: the file does not say."""

    at: NDArray[np.datetime64]
    zone: tzinfo | None


def read_times(table: pa.Table, path: Path) -> Times:
    """Raises `InvalidMarketData` where there is no column of times, or it can be read in two ways."""
    for name, zone in ZONED_COLUMNS.items():
        if name in table.column_names:
            found = _read_column(table[name], name, path)
            return Times(found.at, found.zone or zone)
    if {"date", "time"} <= set(table.column_names):
        return _read_day_and_clock(table, path)
    for name in PLAIN_COLUMNS:
        if name in table.column_names:
            return _read_column(table[name], name, path)
    raise InvalidMarketData(
        "candle file",
        str(path),
        f"needs columns Date and Time, or one of {', '.join(TIME_COLUMNS)}; it has {', '.join(table.column_names)}",
    )


def convert(at: NDArray[np.datetime64], zone: tzinfo, to: tzinfo) -> NDArray[np.datetime64]:
    """Wall clock of `zone` to wall clock of `to`. In the hour that a clock repeats in autumn, its first passage is taken."""
    if zone is to:
        return at
    seconds = at.astype(np.int64)
    hours, of_row = np.unique(seconds // 3600, return_inverse=True)
    moves = [_offset(hour * 3600, zone, to) for hour in hours.tolist()]
    return (seconds + np.array(moves, np.int64)[of_row]).astype("datetime64[s]")


def _offset(local: int, zone: tzinfo, to: tzinfo) -> int:
    moment = (datetime(1970, 1, 1) + timedelta(seconds=local)).replace(tzinfo=zone)  # noqa: DTZ001 (the zone follows)
    there = moment.astimezone(to)
    return int(((there.utcoffset() or timedelta()) - (moment.utcoffset() or timedelta())).total_seconds())


def _read_day_and_clock(table: pa.Table, path: Path) -> Times:
    day, clock = table["date"].cast(pa.string()), table["time"].cast(pa.string())
    clock = pc.if_else(pc.equal(pc.utf8_length(clock), len("HH:MM")), pc.binary_join_element_wise(clock, "00", ":"), clock)
    joined = pc.binary_join_element_wise(day, clock, " ")
    as_on_nse = pc.all(pc.match_substring_regex(day.drop_null(), _NSE_DAY)).as_py()
    if as_on_nse:
        return Times(_parse(joined, "%Y%m%d %H:%M:%S"), IST)
    return Times(_read_text(joined, "Date and Time", path), None)


def _read_column(column: pa.ChunkedArray, name: str, path: Path) -> Times:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return Times(_seconds(column), UTC if kind.tz else None)
    if pa.types.is_date(kind):
        return Times(_seconds(column.cast(pa.timestamp("s"))), None)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Times(_epoch(column), UTC)
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    known = text.drop_null()
    if len(known) and pc.all(pc.match_substring_regex(known, r"^\d{9,19}(\.\d+)?$")).as_py():
        return Times(_epoch(text.cast(pa.float64())), UTC)
    if len(known) and pc.all(pc.match_substring_regex(known, rf"^\d{{4}}-\d\d-\d\d.*\d\d:\d\d.*{_OFFSET}")).as_py():
        return Times(_with_offsets(text), UTC)
    return Times(_read_text(text, name, path), None)


def _read_text(text: pa.ChunkedArray, name: str, path: Path) -> NDArray[np.datetime64]:
    """The form that reads the most rows. Two that read them all, and differently, are a question for the user."""
    text = pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\d)T(\d)", r"\1 \2"), r"\.\d+$", "")
    best: list[tuple[int, str, NDArray[np.datetime64]]] = []
    for form in (day + clock for day in _DAYS for clock in _CLOCKS):
        at = _parse(text, form)
        read = int((~np.isnat(at)).sum())
        if read and (not best or read >= best[0][0]):
            best = [entry for entry in best if entry[0] == read] + [(read, form, at)]
    if not best:
        shown: Sequence[object] = text.drop_null().slice(0, 1).to_pylist()
        raise InvalidMarketData(
            "times", shown[0] if shown else None, f"of {name} in {path.name} cannot be read: write them as 2026-11-20 09:15:00"
        )
    _, form, at = best[0]
    for _, other, same in best[1:]:
        if not np.array_equal(at, same, equal_nan=True):
            raise InvalidMarketData(
                "times", str(text[0]), f"of {name} in {path.name} fit {form} and {other}: write the year first, as 2026-11-20"
            )
    return at


def _parse(text: pa.ChunkedArray, form: str) -> NDArray[np.datetime64]:
    return _seconds(pc.strptime(text, form, "s", error_is_null=True))


def _with_offsets(text: pa.ChunkedArray) -> NDArray[np.datetime64]:
    """ISO 8601 with an offset, to UTC."""
    stamps = [None if value is None else datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None) for value in text.to_pylist()]
    return np.array(stamps, "datetime64[s]")


def _epoch(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    numbers = column.cast(pa.float64()).to_numpy()
    finite = numbers[np.isfinite(numbers)]
    largest = float(np.abs(finite).max(initial=0.0))
    parts = next((parts for limit, parts in _UNITS if largest >= limit), 1)
    at = np.full(len(numbers), np.datetime64("NaT", "s"))
    at[np.isfinite(numbers)] = np.floor(finite / parts).astype(np.int64).astype("datetime64[s]")
    return at


def _seconds(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    return column.cast(pa.timestamp("s"), safe=False).to_numpy().astype("datetime64[s]")
