"""Login: dialog, token, push approval, logout."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from runtime.market import IST
from tests.venues.upstox.accounts import Account, TokenKind
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.gateway import Caller, Route


def profile(account: Account) -> dict[str, Any]:
    return {
        "email": f"{account.user_id.lower()}@example.test",
        "exchanges": ["NSE", "NFO", "BSE", "CDS", "BFO", "BCD"],
        "products": ["D", "CO", "I"],
        "broker": "UPSTOX",
        "user_id": account.user_id,
        "user_name": f"Customer {account.user_id}",
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "user_type": "individual",
        "poa": False,
        "ddpi": False,
        "is_active": True,
    }


def _dialog(core: Core, caller: Caller) -> web.Response:
    """The customer agrees at once: back to the app's address with a code."""
    account = core.accounts.of_client(caller.query("client_id") or "")
    if account is None:
        raise refusal("UDAPI100016")
    query = {"code": account.login_code, "state": caller.query("state") or ""}
    return web.Response(status=302, headers={"Location": f"{caller.query('redirect_uri')}?{urlencode(query)}"})


def _token(core: Core, caller: Caller) -> dict[str, Any]:
    form = dict(parse_qsl(caller.text))
    account = core.accounts.of_client(form.get("client_id", ""))
    if account is None or form.get("client_secret") != account.client_secret or form.get("code") != account.login_code:
        raise refusal("UDAPI100016")
    if form.get("grant_type") != "authorization_code":
        raise refusal("UDAPI100036", path="grantType", value=form.get("grant_type"))
    token = core.accounts.log_in(account, core.clock.now)
    (extended,) = core.accounts.tokens(account, TokenKind.EXTENDED, core.clock.now)
    row = {name: value for name, value in profile(account).items() if name != "ddpi"}
    return {**row, "access_token": token, "extended_token": extended}


def _push_request(core: Core, caller: Caller) -> dict[str, Any]:
    """Asks the customer on his phone; he agrees by `POST /__sim__/login`, the token then goes to the app's notifier."""
    account = core.accounts.of_client(caller.request.match_info["client_id"])
    if account is None or caller.fields.get("client_secret") != account.client_secret:
        raise refusal("UDAPI100016")
    expiry = datetime.combine(core.clock.local.date() + timedelta(days=1), time(3, 30), IST)
    data = {"authorization_expiry": str(int(expiry.timestamp() * 1000)), "notifier_url": "https://example.test/notifier"}
    return {"status": "success", "data": data}


def _logout(core: Core, caller: Caller) -> dict[str, Any]:
    core.accounts.end_tokens(caller.account, core.clock.now)
    return {"status": "success", "data": True}


ROUTES = (
    Route(operation="login_dialog", method="GET", path="/v2/login/authorization/dialog", handler=_dialog, access="none"),
    Route(operation="login_token", method="POST", path="/v2/login/authorization/token", handler=_token, access="none"),
    Route(operation="login_request", method="POST", path="/v3/login/auth/token/request/{client_id}", handler=_push_request, access="none"),
    Route(operation="logout", method="DELETE", path="/v2/logout", handler=_logout),
)
