"""Quotes: last price, OHLC, full, Greeks. Answers are keyed by segment:symbol, each with its instrument key inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.market import IST
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.frames import milliseconds
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.market import Bar, Snapshot

_CIRCUIT = 0.2  # of the previous close, up and down


def _ltp(core: Core, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "last_price": snapshot.price,
        "instrument_token": snapshot.listed.key,
        "ltq": snapshot.last_quantity,
        "volume": snapshot.volume,
        "cp": snapshot.previous_close,
    }


def _ltp_v2(core: Core, snapshot: Snapshot) -> dict[str, Any]:
    return {"last_price": snapshot.price, "instrument_token": snapshot.listed.key}


def _greeks(core: Core, snapshot: Snapshot) -> dict[str, Any]:
    greeks = snapshot.greeks
    if greeks is None:
        raise refusal("UDAPI100011", "The instrument is not an option", value=snapshot.listed.key)
    return {
        **_ltp(core, snapshot),
        "iv": snapshot.volatility,
        "vega": greeks.vega,
        "gamma": round(greeks.gamma, 4),
        "theta": greeks.theta,
        "delta": greeks.delta,
        "oi": snapshot.interest,
    }


def _full(core: Core, snapshot: Snapshot) -> dict[str, Any]:
    levels = snapshot.levels(5)
    buy = [{"quantity": level.bid_quantity, "price": level.bid, "orders": 1} for level in levels]
    sell = [{"quantity": level.ask_quantity, "price": level.ask, "orders": 1} for level in levels]
    day, close = snapshot.day, snapshot.previous_close
    return {
        "ohlc": {"open": day.open, "high": day.high, "low": day.low, "close": day.close},
        "depth": {"buy": buy, "sell": sell},
        "timestamp": core.clock.now.astimezone(IST).isoformat(timespec="milliseconds"),
        "instrument_token": snapshot.listed.key,
        "symbol": snapshot.listed.symbol,
        "last_price": snapshot.price,
        "volume": snapshot.volume,
        "average_price": snapshot.average,
        "oi": snapshot.interest,
        "net_change": round(snapshot.price - close, 2),
        "total_buy_quantity": float(sum(level.bid_quantity for level in levels)),
        "total_sell_quantity": float(sum(level.ask_quantity for level in levels)),
        "lower_circuit_limit": round(close * (1 - _CIRCUIT), 2),
        "upper_circuit_limit": round(close * (1 + _CIRCUIT), 2),
        "last_trade_time": str(milliseconds(snapshot.traded_at)),
        "oi_day_high": snapshot.interest,
        "oi_day_low": snapshot.interest,
    }


def _many(core: Core, caller: Caller, keys_max: int, row: Callable[[Core, Snapshot], dict[str, Any]]) -> dict[str, Any]:
    """Keys that are not listed, or never traded, are left out; none that is: refused."""
    keys = [key for key in (caller.query("instrument_key") or caller.query("symbol") or "").split(",") if key]
    if not keys:
        raise refusal("UDAPI1009", path="instrumentKey")
    if len(keys) > keys_max:
        raise refusal("UDAPI100042", path="instrumentKey")
    found = [listed for key in keys if (listed := core.listing.get(key)) is not None]
    if not found:
        raise refusal("UDAPI1087", path="instrumentKey", value=keys[0])
    snapshots = [snapshot for listed in found if (snapshot := core.market.snapshot(listed, core.clock.now)) is not None]
    return {"status": "success", "data": {snapshot.listed.quote_key: row(core, snapshot) for snapshot in snapshots}}


def _ltp_answer(core: Core, caller: Caller) -> dict[str, Any]:
    return _many(core, caller, core.settings.market_keys_max, _ltp)


def _ltp_v2_answer(core: Core, caller: Caller) -> dict[str, Any]:
    return _many(core, caller, core.settings.market_keys_max, _ltp_v2)


def _full_answer(core: Core, caller: Caller) -> dict[str, Any]:
    return _many(core, caller, core.settings.market_keys_max, _full)


def _greeks_answer(core: Core, caller: Caller) -> dict[str, Any]:
    return _many(core, caller, core.settings.greeks_keys_max, _greeks)


def _ohlc_answer(core: Core, caller: Caller) -> dict[str, Any]:
    interval = caller.query("interval")
    if interval not in ("1d", "I1", "I30"):
        raise refusal("UDAPI1020", path="interval", value=interval)

    def row(core: Core, snapshot: Snapshot) -> dict[str, Any]:
        live, previous = _live_bars(core, snapshot, interval)
        bars = {"prev_ohlc": _bar(previous)} if previous is not None else {}
        token = {"last_price": snapshot.price, "instrument_token": snapshot.listed.key}
        return token | bars | {"live_ohlc": _bar(live)}

    return _many(core, caller, core.settings.market_keys_max, row)


def _live_bars(core: Core, snapshot: Snapshot, interval: str) -> tuple[Bar, Bar | None]:
    """The bar under way and the one before it; the day has no bar before it."""
    if interval == "1d":
        return snapshot.day, None
    minutes = 1 if interval == "I1" else 30
    live = core.market.bar(snapshot, minutes)
    before = core.market.snapshot(snapshot.listed, live.opened_at)
    return live, None if before is None else core.market.bar(before, minutes)


def _bar(bar: Bar) -> dict[str, Any]:
    return {
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "ts": milliseconds(bar.opened_at),
    }


def _quote(operation: str, path: str, handler: Callable[[Core, Caller], Any]) -> Route:
    return Route(operation=operation, method="GET", path=path, handler=handler, access="market")


ROUTES = (
    _quote("ltp", "/v3/market-quote/ltp", _ltp_answer),
    _quote("ohlc", "/v3/market-quote/ohlc", _ohlc_answer),
    _quote("quotes", "/v3/market-quote/quotes", _full_answer),
    _quote("greeks", "/v3/market-quote/option-greek", _greeks_answer),
    _quote("ltp_v2", "/v2/market-quote/ltp", _ltp_v2_answer),
    _quote("quotes_v2", "/v2/market-quote/quotes", _full_answer),
)
