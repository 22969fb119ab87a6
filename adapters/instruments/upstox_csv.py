"""Upstox's older list of instruments, a CSV: ticks in rupees, lots as floats, the exchange's own contract names."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

from adapters.upstox.instruments import MasterRow, expiry_codes, plain_strike
from runtime.errors import InvalidMarketData

_COLUMNS = {"instrument_key", "tradingsymbol", "expiry", "strike", "tick_size", "lot_size", "instrument_type", "option_type", "exchange"}
_KINDS = {"OPTIDX": "", "OPTSTK": "", "FUTIDX": "FUT", "FUTSTK": "FUT", "EQUITY": "EQ", "INDEX": "INDEX"}
"""Types read here, as the JSON list names them; an option's is its right."""


def read_csv(content: bytes) -> list[MasterRow]:
    """The file, gzipped or not, as rows of the JSON list. It holds no freeze quantities.

    Raises:
        InvalidMarketData: it is no such file, or it ends in the middle.
    """
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidMarketData("instrument master", f"{len(content)} bytes", f"is torn or no CSV: {error}") from error
    lines = csv.DictReader(io.StringIO(text))
    if not lines.fieldnames or not set(lines.fieldnames) >= _COLUMNS:
        raise InvalidMarketData("instrument master", lines.fieldnames, f"lacks columns: needed are {', '.join(sorted(_COLUMNS))}")
    rows: list[MasterRow] = []
    for number, line in enumerate(lines, start=2):
        if None in line.values():
            raise InvalidMarketData("instrument master", f"line {number}", "is cut short: the file is torn, fetch it again")
        if line["instrument_type"] in _KINDS:
            rows.append(_row(line, number))
    return rows


def _row(line: Mapping[str, str], number: int) -> MasterRow:
    kind = _KINDS[line["instrument_type"]] or line["option_type"]
    try:
        tick, lot = _decimal(line["tick_size"]), _decimal(line["lot_size"])
        strike = float(line["strike"] or 0)
        expiry = date.fromisoformat(line["expiry"]) if line["expiry"] else None
    except (ValueError, InvalidOperation) as error:
        raise InvalidMarketData("instrument master", f"line {number}", f"cannot be read: {error}") from error
    return MasterRow(
        instrument_key=line["instrument_key"],
        segment=line["exchange"],
        trading_symbol=line["tradingsymbol"],
        instrument_type=kind,
        lot_size=lot,
        tick_size=None if tick is None else tick * 100,
        expiry=None if expiry is None else expiry.isoformat(),
        strike_price=strike,
        underlying_symbol=None if expiry is None else _underlying(line["tradingsymbol"], expiry, strike, kind),
    )


def _underlying(symbol: str, expiry: date, strike: float, kind: str) -> str | None:
    """What is left of `BANKNIFTY26AUG52000CE` without its expiry and strike; None when it is named in another way."""
    for code in expiry_codes(expiry):
        suffix = f"{code}FUT" if kind == "FUT" else f"{code}{plain_strike(strike)}{kind}"
        if symbol.endswith(suffix) and len(symbol) > len(suffix):
            return symbol.removesuffix(suffix)
    return None


def _decimal(text: str) -> Decimal | None:
    """`30.0` is thirty, as the file writes lots."""
    return Decimal(text).normalize() if text else None
