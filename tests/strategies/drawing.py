"""Candles of one session drawn from (open, high, low, close), and contexts for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from runtime.market import Candle, ChainRow, InstrumentId, OptionChain, OptionQuote, Quote, Right, Timeframe
from runtime.strategy import MarketContext
from tests.builders import DAY, at, option

Shape = tuple[float, float, float, float]
FLAT: Shape = (100.0, 100.0, 100.0, 100.0)


def draw(*shapes: Shape, clock: str = "09:15", day: date = DAY) -> list[Candle]:
    """One candle a minute from `clock` on."""
    return [
        Candle(
            instrument="NSE:BANKNIFTY",
            timeframe=Timeframe.M1,
            opened_at=at(clock, day) + timedelta(minutes=minute),
            open=opens,
            high=high,
            low=low,
            close=close,
        )
        for minute, (opens, high, low, close) in enumerate(shapes)
    ]


def context(volume: float | None = None, chain: OptionChain | None = None, quotes: Iterable[Quote] = (), day: date = DAY) -> MarketContext:
    newest: Mapping[InstrumentId, Quote] = {quote.instrument: quote for quote in quotes}
    return MarketContext(session_open=at("09:15", day), session_close=at("15:30", day), volume=volume, chain=chain, quotes=newest)


def chain(pcr: float = 1.0, spot: float = 52_010.0, premium: float | None = 100.0) -> OptionChain:
    """Strikes 51,900 to 52,100; puts cost 10 more than calls."""
    rows = tuple(
        ChainRow(
            strike=strike,
            call=OptionQuote(
                instrument=option(strike), price=premium, bid=premium and premium - 0.5, ask=premium and premium + 0.5, open_interest=100
            ),
            put=OptionQuote(instrument=option(strike, Right.PUT), price=premium and premium + 10, open_interest=100 * pcr),
        )
        for strike in (51_900, 52_000, 52_100)
    )
    return OptionChain(underlying="NSE:BANKNIFTY", expiry=date(2026, 11, 24), taken_at=at("09:15"), spot=spot, rows=rows)
