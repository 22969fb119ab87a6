"""Upstox's instrument keys against canonical symbols, from the rows of its master file and option-contract answers."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Self

import msgspec

from runtime.errors import InvalidInput, InvalidMarketData
from runtime.instruments import Listing
from runtime.market import IST, Instrument, InstrumentId, InstrumentKind, Right

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKLY_MONTHS = "123456789OND"
_EXCHANGES = {"NSE_INDEX": "NSE", "NSE_EQ": "NSE", "NSE_FO": "NSE", "BSE_INDEX": "BSE", "BSE_EQ": "BSE", "BSE_FO": "BSE"}
"""Segments read here; commodity and currency segments differ in quantity units and are left out."""
_PAISE = Decimal(100)
_TICK_MAX = Decimal(5)


class MasterRow(msgspec.Struct, frozen=True):
    """A row as the vendor writes it. `expiry` is epoch milliseconds in the file and an ISO date in REST answers; `tick_size` is in paise."""

    instrument_key: str
    segment: str
    trading_symbol: str = ""
    instrument_type: str = ""
    lot_size: Decimal | None = None
    freeze_quantity: Decimal | None = None
    tick_size: Decimal | None = None
    expiry: int | str | None = None
    strike_price: float | None = None
    underlying_key: str | None = None
    underlying_symbol: str | None = None

    @property
    def expires_on(self) -> date | None:
        if self.expiry is None or self.expiry == "":
            return None
        if isinstance(self.expiry, str):
            return date.fromisoformat(self.expiry)
        return datetime.fromtimestamp(self.expiry / 1000, UTC).astimezone(IST).date()


_decode_rows = msgspec.json.Decoder(list[MasterRow], strict=False).decode


def read_master(content: bytes) -> list[MasterRow]:
    """The vendor's master file, gzipped or not.

    Raises:
        InvalidMarketData: it is no such file.
    """
    try:
        return _decode_rows(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (msgspec.MsgspecError, OSError, EOFError) as error:
        raise InvalidMarketData("instrument master", f"{len(content)} bytes", f"is not Upstox's list of instruments: {error}") from error


class InstrumentTable:
    """Both ways between canonical symbols and Upstox's keys, which are case- and space-sensitive and the only stable ids.

    Contracts are named as the exchange names them: monthly ones `NSE:BANKNIFTY26NOV52000CE`, weekly ones with month letter
    and day, `NSE:NIFTY26N1725900CE`. A contract is monthly when none of its underlying expires later in the same month.
    """

    def __init__(self, rows: Iterable[MasterRow], *, loaded_on: date | None = None) -> None:
        self.loaded_on = loaded_on
        self.skipped = 0
        """Rows of other segments, and rows that cannot be true."""
        self._instruments: dict[InstrumentId, Instrument] = {}
        self._keys: dict[InstrumentId, str] = {}
        self._ids: dict[str, InstrumentId] = {}
        self._expiries: dict[InstrumentId, set[date]] = {}
        self._add(rows)

    @classmethod
    def of_listings(cls, listings: Iterable[Listing], *, loaded_on: date | None) -> Self:
        """The list as a store kept it."""
        table = cls((), loaded_on=loaded_on)
        for listing in listings:
            table._take(listing.instrument, listing.key)
        return table

    def with_keys(self, keys: Mapping[InstrumentId, str]) -> Self:
        """The same list where these instruments go by other keys; what is known under the usual ones is still understood."""
        if not keys:
            return self
        table = copy(self)
        table._keys = {**self._keys, **keys}
        table._ids = {**self._ids, **{key: name for name, key in keys.items()}}
        return table

    def __len__(self) -> int:
        return len(self._keys)

    def _add(self, rows: Iterable[MasterRow]) -> None:
        known = [row for row in rows if row.segment in _EXCHANGES]
        last_of_month = _last_expiries(known)
        for row in known:
            instrument = _instrument(row, last_of_month)
            if instrument is None:
                self.skipped += 1
                continue
            self._take(instrument, row.instrument_key)

    def _take(self, instrument: Instrument, key: str) -> None:
        self._instruments[instrument.id], self._keys[instrument.id] = instrument, key
        self._ids[key] = instrument.id
        if instrument.underlying is not None and instrument.expiry is not None and instrument.kind is InstrumentKind.OPTION:
            self._expiries.setdefault(instrument.underlying, set()).add(instrument.expiry)

    def listings(self) -> list[Listing]:
        """Everything, in the order of the file."""
        return [Listing(instrument=instrument, key=self._keys[name]) for name, instrument in self._instruments.items()]

    def key(self, instrument: InstrumentId) -> str:
        """Raises `InvalidInput` for what Upstox does not list."""
        try:
            return self._keys[instrument]
        except KeyError:
            raise InvalidInput("instrument", instrument, "Upstox's instrument list does not have it: is the list of today?") from None

    def instrument(self, instrument: InstrumentId) -> Instrument:
        """Raises `InvalidInput` for what Upstox does not list."""
        self.key(instrument)
        return self._instruments[instrument]

    def id_of(self, key: str) -> InstrumentId | None:
        return self._ids.get(key)

    def by_key(self, key: str) -> Instrument | None:
        name = self._ids.get(key)
        return None if name is None else self._instruments[name]

    def expiries(self, underlying: InstrumentId) -> list[date]:
        """Of its options, ascending."""
        return sorted(self._expiries.get(underlying, ()))


def _last_expiries(rows: Iterable[MasterRow]) -> Mapping[tuple[str, int, int], date]:
    last: dict[tuple[str, int, int], date] = {}
    for row in rows:
        expiry = row.expires_on
        if expiry is not None and row.underlying_symbol:
            month = (row.underlying_symbol, expiry.year, expiry.month)
            last[month] = max(last.get(month, expiry), expiry)
    return last


def _instrument(row: MasterRow, last_of_month: Mapping[tuple[str, int, int], date]) -> Instrument | None:
    exchange = _EXCHANGES[row.segment]
    if row.segment.endswith("_INDEX"):
        return Instrument(id=f"{exchange}:{row.trading_symbol}", kind=InstrumentKind.INDEX) if row.trading_symbol else None
    tick, lot = (row.tick_size or Decimal(0)) / _PAISE, row.lot_size or Decimal(0)
    if not (0 < tick <= _TICK_MAX and lot > 0 and row.trading_symbol):
        return None
    freeze = row.freeze_quantity or None
    if row.segment.endswith("_EQ"):
        name = f"{exchange}:{row.trading_symbol}"
        return Instrument(id=name, kind=InstrumentKind.EQUITY, tick_size=tick, lot_size=lot, freeze_quantity=freeze)
    expiry, symbol = row.expires_on, row.underlying_symbol
    if expiry is None or not symbol or row.instrument_type not in {"FUT", "CE", "PE"}:
        return None
    is_monthly = last_of_month[symbol, expiry.year, expiry.month] == expiry
    name = f"{exchange}:{symbol}{expiry_codes(expiry)[not is_monthly]}"
    if row.instrument_type == "FUT":
        return Instrument(
            id=f"{name}FUT",
            kind=InstrumentKind.FUTURE,
            tick_size=tick,
            lot_size=lot,
            freeze_quantity=freeze,
            underlying=f"{exchange}:{symbol}",
            expiry=expiry,
        )
    if not row.strike_price or row.strike_price <= 0:
        return None
    return Instrument(
        id=f"{name}{plain_strike(row.strike_price)}{row.instrument_type}",
        kind=InstrumentKind.OPTION,
        tick_size=tick,
        lot_size=lot,
        freeze_quantity=freeze,
        underlying=f"{exchange}:{symbol}",
        expiry=expiry,
        strike=row.strike_price,
        right=Right(row.instrument_type),
    )


def expiry_codes(expiry: date) -> tuple[str, str]:
    """How the exchange writes an expiry in a contract's name: of a monthly contract, of a weekly one."""
    return f"{expiry:%y}{_MONTHS[expiry.month - 1]}", f"{expiry:%y}{_WEEKLY_MONTHS[expiry.month - 1]}{expiry:%d}"


def plain_strike(strike: float) -> str:
    return f"{strike:.2f}".rstrip("0").rstrip(".")
