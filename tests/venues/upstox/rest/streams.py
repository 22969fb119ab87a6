"""Websocket addresses: authorise, redirect, and the sockets behind the single-use address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import ApiError, refusal
from tests.venues.upstox.gateway import Caller, Route
from tests.venues.upstox.sockets import Connection

FEED, PORTFOLIO = "/market-data-feeder/v3/upstox-developer-api/feeds", "/upstox-developer-api/order-updates/feed"
_UPDATE_TYPES = frozenset({"order", "position", "holding", "gtt_order"})


def _feed_address(core: Core, caller: Caller) -> str:
    if core.feed.refusals:
        raise ApiError(core.feed.refusals.pop(0), "UDAPI100500", "The feed cannot be reached")
    user_id = caller.account.user_id
    if sum(connection.user_id == user_id for connection in core.feed.connections) >= core.settings.feed_connections_max:
        raise refusal("UDAPI100036", "Too many market data connections", status=403)
    return _address(core, caller, FEED, user_id)


def _portfolio_address(core: Core, caller: Caller) -> str:
    if core.portfolio.refusals:
        raise ApiError(core.portfolio.refusals.pop(0), "UDAPI100500", "The stream cannot be reached")
    asked = frozenset((caller.query("update_types") or "order").replace("%2C", ",").split(","))
    if not asked <= _UPDATE_TYPES:
        raise refusal("UDAPI100036", path="updateTypes", value=caller.query("update_types"))
    return _address(core, caller, PORTFOLIO, f"{caller.account.user_id} {','.join(sorted(asked))}")


def _address(core: Core, caller: Caller, path: str, what: str) -> str:
    query = urlencode({"requestId": f"request-{core.codes.issued + 1}", "code": core.codes.issue(path, what)})
    return f"ws://{caller.request.host}{path}?{query}"


def _redirect(address: str) -> web.Response:
    return web.Response(status=302, headers={"Location": address})


def _answer(address: str) -> dict[str, Any]:
    return {"status": "success", "data": {"authorized_redirect_uri": address, "authorizedRedirectUri": address}}


async def _serve_feed(core: Core, caller: Caller) -> web.StreamResponse:
    user_id = core.codes.redeem(FEED, caller.query("code"))
    connection = Connection(user_id)
    await connection.prepare(caller.request)
    core.feed.open(connection)
    try:
        return await connection.serve(lambda data: core.feed.on_message(connection, data))
    finally:
        core.feed.gone(connection)


async def _serve_portfolio(core: Core, caller: Caller) -> web.StreamResponse:
    user_id, kinds = core.codes.redeem(PORTFOLIO, caller.query("code")).split(" ")
    connection = Connection(user_id)
    await connection.prepare(caller.request)
    core.portfolio.open(connection, frozenset(kinds.split(",")))
    try:
        return await connection.serve(lambda _data: None)
    finally:
        core.portfolio.gone(connection)


def _get(operation: str, path: str, handler: Any, access: Any) -> Route:
    return Route(operation=operation, method="GET", path=path, handler=handler, access=access, rate=None)


ROUTES = (
    _get("feed", "/v3/feed/market-data-feed", lambda core, caller: _redirect(_feed_address(core, caller)), "market"),
    _get("feed_authorize", "/v3/feed/market-data-feed/authorize", lambda core, caller: _answer(_feed_address(core, caller)), "market"),
    _get("portfolio", "/v2/feed/portfolio-stream-feed", lambda core, caller: _redirect(_portfolio_address(core, caller)), "read"),
    _get(
        "portfolio_authorize",
        "/v2/feed/portfolio-stream-feed/authorize",
        lambda core, caller: _answer(_portfolio_address(core, caller)),
        "read",
    ),
    _get("feed_socket", FEED, _serve_feed, "none"),
    _get("portfolio_socket", PORTFOLIO, _serve_portfolio, "none"),
)
