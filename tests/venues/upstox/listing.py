"""Names: the runtime's instrument ids, the vendor's keys, and the instrument rows the vendor publishes."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from adapters.simulated.market import SimulatedMarket
from runtime.market import IST, Instrument, InstrumentId, InstrumentKind, Right

_NAMES = {
    "NSE:BANKNIFTY": ("Nifty Bank", "BANKNIFTY", "26009"),
    "NSE:NIFTY": ("Nifty 50", "NIFTY", "26000"),
    "NSE:FINNIFTY": ("Nifty Fin Service", "FINNIFTY", "26037"),
    "NSE:MIDCPNIFTY": ("NIFTY MID SELECT", "MIDCPNIFTY", "26074"),
}
_TOKENS_FROM = 35_000
_TOKENS_PER_UNDERLYING = 40_000
_TOKENS_PER_MONTH = 3_000
_STRIKES_MAX = 1_450  # per month, from the lowest listed
_EXPIRY_TIME = time(23, 59, 59)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument under all its names. `symbol` is the exchange's, `trading_symbol` the one of the instrument file."""

    instrument: Instrument
    key: str
    token: str
    symbol: str
    trading_symbol: str
    underlying_key: str
    underlying_name: str

    @property
    def segment(self) -> str:
        return self.key.split("|")[0]

    @property
    def quote_key(self) -> str:
        """The key of quote answers: segment and symbol, with a colon."""
        return f"{self.segment}:{self.symbol}"

    @property
    def exchange(self) -> str:
        """As order and position rows name it: derivatives are `NFO` there."""
        return "NFO" if self.segment == "NSE_FO" else "NSE"


class Listing:
    """All contracts of the underlyings that are listed on a day. A token is used again a year later, as the exchange does."""

    def __init__(self, markets: tuple[SimulatedMarket, ...]) -> None:
        self._markets = {market.config.underlying: market for market in markets}
        self._day: date | None = None
        self._by_key: dict[str, Listed] = {}
        self._by_id: dict[InstrumentId, Listed] = {}

    def on(self, day: date) -> None:
        """List what is listed on `day`; contracts that expired before it are gone."""
        if day == self._day:
            return
        self._day = day
        rows = [row for number, market in enumerate(self._markets.values()) for row in _listed(market, number, day)]
        self._by_key = {row.key: row for row in rows}
        self._by_id = {row.instrument.id: row for row in rows}

    def get(self, key: str) -> Listed | None:
        """By instrument key, or by the segment:symbol spelling some endpoints take."""
        return self._by_key.get(key)

    def of(self, instrument: InstrumentId) -> Listed:
        return self._by_id[instrument]

    def market(self, listed: Listed) -> SimulatedMarket:
        return self._markets[listed.instrument.underlying or listed.instrument.id]

    @property
    def rows(self) -> list[Listed]:
        return list(self._by_key.values())

    def contracts(self, underlying_key: str, expiry: date | None = None) -> list[Listed]:
        """Options of one underlying, by expiry and strike."""
        found = [row for row in self.rows if row.underlying_key == underlying_key and row.instrument.right is not None]
        chosen = [row for row in found if expiry is None or row.instrument.expiry == expiry]
        return sorted(chosen, key=lambda row: (row.instrument.expiry, row.instrument.strike, row.instrument.right))

    def file(self) -> bytes:
        """The gzipped JSON the vendor puts out every morning: `expiry` in epoch milliseconds here, not a date."""
        return gzip.compress(json.dumps([file_row(row) for row in self.rows]).encode(), mtime=0)


def contract_row(listed: Listed) -> dict[str, Any]:
    """An option as `/v2/option/contract` answers it. `tick_size` is in paise."""
    instrument = listed.instrument
    return {
        "name": listed.underlying_name,
        "segment": listed.segment,
        "exchange": "NSE",
        "expiry": str(instrument.expiry),
        "weekly": False,
        "instrument_key": listed.key,
        "exchange_token": listed.token,
        "trading_symbol": listed.trading_symbol,
        "tick_size": float(instrument.tick_size * 100),
        "lot_size": int(instrument.lot_size),
        "instrument_type": str(instrument.right),
        "freeze_quantity": float(instrument.freeze_quantity or 0),
        "underlying_key": listed.underlying_key,
        "underlying_type": "INDEX",
        "underlying_symbol": listed.underlying_name,
        "strike_price": float(instrument.strike or 0),
        "minimum_lot": int(instrument.lot_size),
    }


def file_row(listed: Listed) -> dict[str, Any]:
    instrument = listed.instrument
    if instrument.kind is InstrumentKind.INDEX:
        return {
            "segment": listed.segment,
            "name": listed.trading_symbol,
            "exchange": "NSE",
            "instrument_type": "INDEX",
            "instrument_key": listed.key,
            "exchange_token": listed.token,
            "trading_symbol": listed.trading_symbol,
        }
    assert instrument.expiry is not None
    expires = datetime.combine(instrument.expiry, _EXPIRY_TIME, IST)
    more = {
        "instrument_type": str(instrument.right or "FUT"),
        "expiry": int(expires.timestamp() * 1000),
        "asset_symbol": listed.underlying_name,
        "asset_key": listed.underlying_key,
        "asset_type": "INDEX",
        "qty_multiplier": 1.0,
    }
    return contract_row(listed) | more


def _listed(market: SimulatedMarket, number: int, day: date) -> list[Listed]:
    underlying = market.config.underlying
    name, symbol, token = _NAMES[underlying]
    key = f"NSE_INDEX|{name}"
    index = Listed(
        instrument=market.contracts.underlying,
        key=key,
        token=token,
        symbol=name,
        trading_symbol=symbol,
        underlying_key=key,
        underlying_name=symbol,
    )
    today = market.contracts.expiry(day.year, day.month)
    expiries = market.contracts.expiries(day)
    if today == day:
        expiries = [today, *expiries]
    session = day if market.calendar.times(day) else market.next_day(day)
    strikes = [row.strike for row in market.chain(expiries[-1], market.day(session).grid.opened_at).rows]
    tokens = _TOKENS_FROM + number * _TOKENS_PER_UNDERLYING
    rows = [index]
    for expiry in expiries:
        month = tokens + expiry.month % 12 * _TOKENS_PER_MONTH
        rows.append(_contract(index, market.contracts.future(expiry), month))
        for strike in strikes:
            place = int(strike // market.config.strike_step) % _STRIKES_MAX
            for offset, right in enumerate(Right):
                contract = market.contracts.option(expiry, strike, right)
                rows.append(_contract(index, contract, month + 1 + 2 * place + offset))
    return rows


def _contract(index: Listed, instrument: Instrument, token: int) -> Listed:
    assert instrument.expiry is not None
    date_text = f"{instrument.expiry:%d %b %y}".upper()
    what = "FUT" if instrument.right is None else f"{instrument.strike:g} {instrument.right}"
    return Listed(
        instrument=instrument,
        key=f"NSE_FO|{token}",
        token=str(token),
        symbol=instrument.id.removeprefix("NSE:"),
        trading_symbol=f"{index.underlying_name} {what} {date_text}",
        underlying_key=index.key,
        underlying_name=index.underlying_name,
    )


def whole_lots(instrument: Instrument, quantity: int) -> bool:
    return Decimal(quantity) % instrument.lot_size == 0
