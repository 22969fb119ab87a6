"""The option chain as the vendor answers it."""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from math import log, sqrt
from typing import Any

from adapters.simulated import options_model
from runtime.market import ChainRow, OptionQuote, Right
from runtime.options import normal_cdf
from tests.venues.upstox.listing import Listed
from tests.venues.upstox.market import Market, vendor_greeks


def chain_rows(market: Market, underlying_key: str, expiry: date, now: datetime) -> list[dict[str, Any]]:
    """By strike; none at all for an expiry that is not listed. `iv` is a percentage here, a fraction everywhere else."""
    index = market.listing.get(underlying_key)
    if index is None or not market.listing.contracts(underlying_key, expiry):
        return []
    simulated = market.listing.market(index)
    chain = simulated.chain(expiry, now)
    before = _interest_before(market, index, expiry, simulated.previous_day(simulated.day_at(now).date))
    return [
        {
            "expiry": str(expiry),
            **_ratio(row),
            "strike_price": row.strike,
            "underlying_key": underlying_key,
            "underlying_spot_price": chain.spot,
            "call_options": _side(market, row.call, chain.spot, now, before),
            "put_options": _side(market, row.put, chain.spot, now, before),
        }
        for row in chain.rows
        if row.call is not None and row.put is not None
    ]


@lru_cache(maxsize=32)
def _interest_before(market: Market, index: Listed, expiry: date, day: date) -> dict[str, float]:
    """Open interest per instrument at the close of a past session."""
    simulated = market.listing.market(index)
    chain = simulated.chain(expiry, simulated.day(day).grid.closed_at)
    return {side.instrument.id: side.open_interest or 0.0 for row in chain.rows for side in (row.call, row.put) if side is not None}


def _ratio(row: ChainRow) -> dict[str, float]:
    """Puts to calls of this strike; the field is missing where nothing of the call is held."""
    calls = row.call.open_interest if row.call else None
    puts = row.put.open_interest if row.put else None
    return {"pcr": round((puts or 0.0) / calls, 4)} if calls else {}


def _side(market: Market, quote: OptionQuote | None, spot: float, now: datetime, before: dict[str, float]) -> dict[str, Any]:
    assert quote is not None
    instrument = quote.instrument
    listed = market.listing.of(instrument.id)
    assert instrument.expiry is not None
    assert instrument.right is not None
    years = options_model.years_to_expiry(instrument.expiry, now)
    volatility, price = quote.iv or 0.0, quote.price or 0.0
    rate = market.listing.market(listed).config.rate
    greeks = vendor_greeks(instrument.right, spot, instrument.strike or 0.0, years, rate, volatility)
    lot = int(instrument.lot_size)
    return {
        "instrument_key": listed.key,
        "market_data": {
            "ltp": price,
            "volume": int(quote.volume or 0),
            "oi": quote.open_interest or 0.0,
            "close_price": market.previous_close(listed, now) or 0.0,
            "bid_price": quote.bid or 0.0,
            "bid_qty": 3 * lot,
            "ask_price": quote.ask or 0.0,
            "ask_qty": 4 * lot,
            "prev_oi": before.get(instrument.id, 0.0),
        },
        "option_greeks": {
            "vega": greeks.vega if greeks else 0.0,
            "theta": greeks.theta if greeks else 0.0,
            "gamma": round(greeks.gamma, 4) if greeks else 0.0,
            "delta": greeks.delta if greeks else 0.0,
            "iv": round(volatility * 100, 2),
            "pop": _chance(instrument.right, spot, instrument.strike or 0.0, price, years, rate, volatility),
        },
    }


def _chance(right: Right, spot: float, strike: float, price: float, years: float, rate: float, volatility: float) -> float:
    """Percent probability that a buyer at `price` ends above his cost: the lognormal beyond the break-even."""
    target = strike + price if right is Right.CALL else strike - price
    if years <= 0.0 or volatility <= 0.0 or target <= 0.0:
        return 0.0
    distance = (log(spot / target) + (rate - volatility * volatility / 2.0) * years) / (volatility * sqrt(years))
    return round(100.0 * normal_cdf(distance if right is Right.CALL else -distance), 2)
