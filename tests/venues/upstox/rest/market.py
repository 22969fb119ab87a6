"""Instruments, option contracts and chain, candles, exchange status and holidays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from runtime.market import IST
from tests.venues.upstox import candles
from tests.venues.upstox.chain import chain_rows
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.frames import market_status, milliseconds
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.listing import Listed, contract_row

EXCHANGES = ("NSE", "NFO", "CDS", "BSE", "BFO", "BCD", "MCX")


def _instruments(core: Core, caller: Caller) -> web.Response:
    return web.Response(body=core.listing.file(), content_type="application/gzip")


def _contracts(core: Core, caller: Caller) -> dict[str, Any]:
    key, expiry = _underlying(core, caller), caller.query("expiry_date")
    rows = core.listing.contracts(key, None if expiry is None else as_date(expiry))
    return {"status": "success", "data": [contract_row(row) for row in rows]}


def _chain(core: Core, caller: Caller) -> dict[str, Any]:
    """Empty for an expiry that is not listed."""
    key = _underlying(core, caller)
    return {"status": "success", "data": chain_rows(core.market, key, as_date(caller.query("expiry_date")), core.clock.now)}


def _history(core: Core, caller: Caller) -> dict[str, Any]:
    match = caller.request.match_info
    first = match.get("from_date")
    rows = candles.history(
        core.market,
        core.settings,
        _listed(core, match["key"]),
        match["unit"],
        _interval(match["interval"]),
        None if first is None else as_date(first),
        as_date(match["to_date"]),
        core.clock.now,
    )
    return {"status": "success", "data": {"candles": rows}}


def _intraday(core: Core, caller: Caller) -> dict[str, Any]:
    match = caller.request.match_info
    listed = _listed(core, match["key"])
    rows = candles.today(core.market, core.settings, listed, match["unit"], _interval(match["interval"]), core.clock.now)
    return {"status": "success", "data": {"candles": rows}}


def _status(core: Core, caller: Caller) -> dict[str, Any]:
    exchange = caller.request.match_info["exchange"]
    if exchange not in EXCHANGES:
        raise refusal("UDAPI100036", path="exchange", value=exchange)
    data = {"exchange": exchange, "status": market_status(core.market, core.clock.now), "last_updated": milliseconds(core.clock.now)}
    return {"status": "success", "data": data}


def _timings(core: Core, caller: Caller) -> dict[str, Any]:
    return {"status": "success", "data": _open_exchanges(core, as_date(caller.request.match_info["date"]))}


def _holidays(core: Core, caller: Caller) -> dict[str, Any]:
    """The year's holidays and special sessions; of one date, that date's, if it is one."""
    wanted = caller.request.match_info.get("date")
    special = set(core.settings.holidays) | {day for simulation in core.settings.simulations for day in simulation.special_sessions}
    days = [day for day in sorted(special) if wanted is None or day == as_date(wanted)]
    return {"status": "success", "data": [_holiday(core, day) for day in days]}


def _holiday(core: Core, day: date) -> dict[str, Any]:
    open_exchanges = _open_exchanges(core, day)
    return {
        "date": str(day),
        "description": core.settings.holidays.get(day, "Special session"),
        "holiday_type": "SPECIAL_TIMING" if open_exchanges else "TRADING_HOLIDAY",
        "closed_exchanges": [] if open_exchanges else list(EXCHANGES),
        "open_exchanges": open_exchanges,
    }


def _open_exchanges(core: Core, day: date) -> list[dict[str, Any]]:
    bounds = core.market.calendar.bounds(day)
    if bounds is None:
        return []
    return [{"exchange": name, "start_time": milliseconds(bounds[0]), "end_time": milliseconds(bounds[1])} for name in EXCHANGES]


def as_date(text: str | None) -> date:
    try:
        return datetime.combine(date.fromisoformat(text or ""), time(0), IST).date()
    except ValueError:
        raise refusal("UDAPI1088", value=text) from None


def _interval(text: str) -> int:
    if not text.isdigit():
        raise refusal("UDAPI1147", path="interval", value=text)
    return int(text)


def _underlying(core: Core, caller: Caller) -> str:
    key = caller.query("instrument_key")
    if not key:
        raise refusal("UDAPI1009", path="instrumentKey", value=key)
    return _listed(core, key).key


def _listed(core: Core, key: str) -> Listed:
    """UDAPI1021 for what is no key at all, UDAPI100011 for one that is not listed."""
    text = unquote(key)
    if "|" not in text:
        raise refusal("UDAPI1021", path="instrumentKey", value=text)
    listed = core.listing.get(text)
    if listed is None:
        raise refusal("UDAPI100011", path="instrumentKey", value=text)
    return listed


def _open(operation: str, path: str, handler: Callable[[Core, Caller], Any]) -> Route:
    """A read that asks for no token."""
    return Route(operation=operation, method="GET", path=path, handler=handler, access="none", rate=None)


def _read(operation: str, path: str, handler: Callable[[Core, Caller], Any]) -> Route:
    return Route(operation=operation, method="GET", path=path, handler=handler, access="market")


_CANDLES = "/v3/historical-candle/{key}/{unit}/{interval}/{to_date}"

ROUTES = (
    _open("instruments", "/market-quote/instruments/exchange/{name}.json.gz", _instruments),
    _read("option_contracts", "/v2/option/contract", _contracts),
    _read("option_chain", "/v2/option/chain", _chain),
    _open("intraday_candles", "/v3/historical-candle/intraday/{key}/{unit}/{interval}", _intraday),
    _open("historical_candles", _CANDLES, _history),
    _open("historical_candles", _CANDLES + "/{from_date}", _history),
    _read("market_status", "/v2/market/status/{exchange}", _status),
    _open("market_timings", "/v2/market/timings/{date}", _timings),
    _open("holidays", "/v2/market/holidays", _holidays),
    _open("holidays", "/v2/market/holidays/{date}", _holidays),
)
