"""The exchange's own end-of-day file (UDiFF bhavcopy) as a check on a broker's list: names, expiries, strikes and lots."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec

from runtime.errors import InvalidMarketData
from runtime.instruments import Change
from runtime.market import Instrument, InstrumentId

_COLUMNS = {"FinInstrmNm", "XpryDt", "StrkPric", "NewBrdLotQty", "TradDt"}


class ExchangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as the exchange states it on `traded_on`; `strike` None for a future."""

    id: InstrumentId
    traded_on: date
    expiry: date
    strike: float | None
    lot_size: Decimal


def read_bhavcopy(path: Path, exchange: str = "NSE") -> list[ExchangeRow]:
    """Raises `InvalidMarketData` when the file is no bhavcopy of derivatives, naming the line."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if not lines.fieldnames or not set(lines.fieldnames) >= _COLUMNS:
            raise InvalidMarketData("bhavcopy", path.name, f"lacks columns: needed are {', '.join(sorted(_COLUMNS))}")
        rows: list[ExchangeRow] = []
        for number, line in enumerate(lines, start=2):
            try:
                row = ExchangeRow(
                    id=f"{exchange}:{line['FinInstrmNm']}",
                    traded_on=date.fromisoformat(line["TradDt"]),
                    expiry=date.fromisoformat(line["XpryDt"]),
                    strike=float(line["StrkPric"]) if line["StrkPric"] else None,
                    lot_size=Decimal(line["NewBrdLotQty"]),
                )
            except (ValueError, ArithmeticError, TypeError) as error:
                raise InvalidMarketData("bhavcopy", f"{path.name} line {number}", f"cannot be read: {error}") from error
            rows.append(row)
    return rows


def cross_check(listed: Iterable[Instrument], stated: Iterable[ExchangeRow]) -> list[Change]:
    """Where the exchange (`after`) states other than the list (`before`), over the contracts that both name."""
    ours = {instrument.id: instrument for instrument in listed}
    found: list[Change] = []
    for row in stated:
        instrument = ours.get(row.id)
        if instrument is None:
            continue
        for field, value in (("expiry", row.expiry), ("strike", row.strike), ("lot_size", row.lot_size)):
            if getattr(instrument, field) != value:
                found.append(Change(instrument=row.id, field=field, before=getattr(instrument, field), after=value))
    return found
