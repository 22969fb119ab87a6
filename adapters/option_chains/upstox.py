"""Upstox's option chain as a `runtime.ports.OptionChainSource`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import msgspec

from adapters.upstox import UpstoxClient
from adapters.upstox.client import parse
from adapters.upstox.instruments import InstrumentTable
from runtime.errors import InvalidInput, InvalidMarketData
from runtime.market import IST, ChainRow, InstrumentId, OptionChain, OptionQuote

_PERCENT = 100.0


class _MarketData(msgspec.Struct, frozen=True):
    ltp: float | None = None
    volume: float | None = None
    oi: float | None = None
    bid_price: float | None = None
    ask_price: float | None = None


class _Greeks(msgspec.Struct, frozen=True):
    iv: float | None = None
    """Percent a year."""


class _Option(msgspec.Struct, frozen=True):
    instrument_key: str | None = None
    market_data: _MarketData | None = None
    option_greeks: _Greeks | None = None


class _Strike(msgspec.Struct, frozen=True):
    strike_price: float
    expiry: str | None = None
    underlying_spot_price: float | None = None
    call_options: _Option | None = None
    put_options: _Option | None = None


class UpstoxOptionChainSource:
    """Strikes and sides that are not listed stay out; prices, volatilities and sides the vendor writes as 0 are None.

    `now` is the venue's clock: the vendor puts no time on a chain.
    """

    def __init__(self, client: UpstoxClient, table: InstrumentTable, now: Callable[[], datetime]) -> None:
        self._client, self._table, self._now = client, table, now

    async def expiries(self, underlying: InstrumentId) -> list[date]:
        """From today on, out of the instrument list."""
        today = self._now().astimezone(IST).date()
        return [expiry for expiry in self._table.expiries(underlying) if expiry >= today]

    async def chain(self, underlying: InstrumentId, expiry: date) -> OptionChain:
        params = {"instrument_key": self._table.key(underlying), "expiry_date": expiry.isoformat()}
        taken_at = self._now()
        strikes: list[_Strike] | None = parse(await self._client.read("/v2/option/chain", params), list[_Strike] | None)
        if not strikes:
            raise InvalidInput("expiry", expiry, f"Upstox has no option chain of {underlying} for it")
        strikes = sorted(strikes, key=lambda row: row.strike_price)
        spots = [row.underlying_spot_price for row in strikes if row.underlying_spot_price]
        if not spots:
            raise InvalidMarketData("underlying_spot_price", None, f"the chain of {underlying} names no price of the underlying")
        rows = [ChainRow(strike=row.strike_price, call=self._quote(row.call_options), put=self._quote(row.put_options)) for row in strikes]
        listed = tuple(row for row in rows if row.call is not None or row.put is not None)
        return OptionChain(underlying=underlying, expiry=expiry, taken_at=taken_at, spot=spots[0], rows=listed)

    async def close(self) -> None:
        await self._client.close()

    def _quote(self, option: _Option | None) -> OptionQuote | None:
        if option is None or not option.instrument_key:
            return None
        instrument = self._table.by_key(option.instrument_key)
        if instrument is None:
            return None
        market, greeks = option.market_data or _MarketData(), option.option_greeks or _Greeks()
        return OptionQuote(
            instrument=instrument,
            price=market.ltp or None,
            bid=market.bid_price or None,
            ask=market.ask_price or None,
            open_interest=market.oi,
            volume=market.volume,
            iv=greeks.iv / _PERCENT if greeks.iv else None,
        )
