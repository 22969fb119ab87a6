"""The forms in which option chains were recorded, brought to rows of one form."""

# pyarrow comes without type information:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.errors import InvalidMarketData
from runtime.market import IST

Flag: TypeAlias = Callable[[str], None]
"""Takes a sentence about a cell that is no number; the cell counts as empty."""


class SideCells(NamedTuple):
    """One side of a strike as recorded; `iv` in percent."""

    open_interest: float | None
    volume: float | None
    iv: float | None
    price: float | None
    bid: float | None
    ask: float | None


class StrikeCells(NamedTuple):
    strike: float | None
    spot: float | None
    call: SideCells
    put: SideCells


class RawSnapshot(NamedTuple):
    """`expiry` where the file names it."""

    taken_at: datetime
    expiry: date | None
    rows: list[StrikeCells]


_SIDE = ("open_interest", "volume", "iv", "price", "bid", "ask")
# Columns of each form: strike, spot, then call and put in the order of _SIDE. An empty name: the form has no such column.
_FORMS: tuple[tuple[str, ...], ...] = (
    (
        "StrikePrice", "CurrentVal",
        "CallOI", "CallVolume", "CallIV", "CallLTP", "CallBidPrice", "CallAskPrice",
        "PutOI", "PutVolume", "PutIV", "PutLTP", "PutBidPrice", "PutAskPrice",
    ),
    ("strike", "", "oi_c", "vol_c", "iv_c", "ltp_c", "bid_c", "ask_c", "oi_p", "vol_p", "iv_p", "ltp_p", "bid_p", "ask_p"),
    ("strike", "underlying_rounded", "call_oi", "", "call_iv", "", "", "", "put_oi", "", "put_iv", "", "", ""),
)  # fmt: skip
# The option-chain page of nseindia.com saved as CSV repeats its column names: by position.
_PAGE_WIDTH = 23
_PAGE_COLUMNS = (11, None, 1, 3, 4, 5, 8, 9, 21, 19, 18, 17, 13, 14)
_NAME_TIMES = (
    re.compile(r"(?P<d>\d{2})-(?P<m>\d{2})-(?P<y>\d{4})_(?P<H>\d{2})[_:]?(?P<M>\d{2})"),
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})_(?P<H>\d{2})[_:]?(?P<M>\d{2})"),
)


def read_snapshots(path: Path, symbol: str, taken_at: datetime | None, flag: Flag) -> Iterator[RawSnapshot]:
    """Snapshots in the order of the file. A CSV holds one, taken at `taken_at` or the time in its name (IST).

    Raises:
        InvalidMarketData: the file is unreadable or not of a known form.
    """
    if path.suffix == ".parquet":
        return _read_parquet(path, symbol)
    return iter([_read_csv(path, taken_at or _time_in_name(path), flag)])


def _read_parquet(path: Path, symbol: str) -> Iterator[RawSnapshot]:
    try:
        names = pq.read_schema(path).names
        form = _form(path, names)
        filters = [("symbol", "==", symbol)] if "symbol" in names else None
        extra = [name for name in ("ts_ist", "expiry") if name in names]
        table = pq.read_table(path, columns=[*extra, *filter(None, form)], filters=filters)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidMarketData("chain file", str(path), f"cannot be read: {error}") from error
    columns = [table[name].to_pylist() if name else [None] * len(table) for name in form]
    expiries = table["expiry"].to_pylist() if "expiry" in names else [None] * len(table)
    records = zip(table["ts_ist"].to_pylist(), expiries, zip(*columns, strict=True), strict=True)
    for (at, expiry), group in groupby(records, key=lambda record: record[:2]):
        listed = datetime.strptime(expiry, "%d-%b-%Y").replace(tzinfo=IST).date() if expiry else None
        yield RawSnapshot(at.replace(tzinfo=IST), listed, [_cells(values) for _, _, values in group])


def _read_csv(path: Path, taken_at: datetime, flag: Flag) -> RawSnapshot:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise InvalidMarketData("chain file", str(path), f"cannot be read: {error}") from error
    head = next((at for at, line in enumerate(lines) if any(cell.strip() in {"StrikePrice", "Strike Price"} for cell in line)), None)
    if head is None:
        raise InvalidMarketData("chain file", str(path), "no line names a column StrikePrice: is it an option chain?")
    names = [cell.strip() for cell in lines[head]]
    if names.count("OI") == 2 and len(names) == _PAGE_WIDTH:
        places: Sequence[int | None] = _PAGE_COLUMNS
    else:
        places = [names.index(name) if name else None for name in _form(path, names)]
    rows: list[StrikeCells] = []
    for line in lines[head + 1 :]:
        if len(line) != len(names):  # the page ends with a line of totals
            if line and line[0].strip() != "Total":
                flag(f"line of {len(line)} cells instead of {len(names)}: {line[:3]}")
            continue
        strike = line[places[0] or 0].strip()
        rows.append(_cells([None if at is None else _number(line[at], f"strike {strike} column {names[at]}", flag) for at in places]))
    return RawSnapshot(taken_at, None, rows)


def _form(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    form = next((form for form in _FORMS if set(filter(None, form)) <= set(names)), None)
    if form is None:
        raise InvalidMarketData("chain file", str(path), f"not a known form; its columns are {', '.join(names)}")
    return form


def _cells(recorded: Sequence[float | None]) -> StrikeCells:
    values = [None if value is None else float(value) for value in recorded]
    return StrikeCells(values[0], values[1], SideCells(*values[2:8]), SideCells(*values[8:14]))


def _number(cell: str, where: str, flag: Flag) -> float | None:
    """Thousands separators and the page's line breaks removed; "-" and nothing are empty."""
    text = cell.strip().replace(",", "")
    if text in {"", "-"}:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or value < 0.0:
        flag(f"{where} is {text!r}")
        return None
    return value


def _time_in_name(path: Path) -> datetime:
    for pattern in _NAME_TIMES:
        found = pattern.search(path.name)
        if found:
            part: Mapping[str, int] = {name: int(value) for name, value in found.groupdict().items()}
            return datetime(part["y"], part["m"], part["d"], part["H"], part["M"], tzinfo=IST)
    raise InvalidMarketData("chain file", path.name, "its name holds no time such as 2019-06-19_0930: pass taken_at")
