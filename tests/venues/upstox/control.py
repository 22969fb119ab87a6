"""What a test may ask of the venue beyond the vendor's API, under `/__sim__/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from runtime.market import IST
from tests.venues.upstox import faults
from tests.venues.upstox.accounts import Account, TokenKind
from tests.venues.upstox.core import Core
from tests.venues.upstox.ledger import Happened
from tests.venues.upstox.settings import AccountSettings

Advance = Callable[[datetime], Awaitable[None]]


class Control:
    """Ledger, request journal, accounts, clock, faults and manual orders, over HTTP."""

    def __init__(self, core: Core, advance_to: Advance, begin: Callable[[], None]) -> None:
        self._core = core
        self._advance_to, self._begin_now = advance_to, begin

    def add_to(self, app: web.Application) -> None:
        for method, name, handler in (
            ("GET", "ledger", self._ledger),
            ("GET", "requests", self._requests),
            ("GET", "accounts", self._accounts),
            ("POST", "accounts", self._add_account),
            ("POST", "login", self._log_in),
            ("GET", "clock", self._clock),
            ("POST", "clock", self._advance),
            ("POST", "begin", self._begin),
            ("GET", "rates", self._rates),
            ("GET", "faults", self._faults),
            ("POST", "faults", self._inject),
            ("POST", "orders", self._trade_by_hand),
        ):
            app.router.add_route(method, f"/__sim__/{name}", handler)

    async def _ledger(self, request: web.Request) -> web.Response:
        """Filtered by `what`, `user_id` and `tag`."""
        what, query = request.query.get("what"), request.query
        entries = self._core.ledger.entries(Happened(what) if what else None, user_id=query.get("user_id"), tag=query.get("tag"))
        return _json(entries)

    async def _requests(self, request: web.Request) -> web.Response:
        wanted = request.query.get("operation")
        journal = self._core.journal
        return _json({"counts": journal.counts, "calls": journal.of(wanted) if wanted else list(journal.calls)})

    async def _accounts(self, _request: web.Request) -> web.Response:
        return _json([self._account_row(account) for account in self._core.accounts.by_id.values()])

    async def _add_account(self, request: web.Request) -> web.Response:
        settings = msgspec.json.decode(await request.read(), type=AccountSettings)
        return _json(self._account_row(self._core.accounts.add(settings, self._core.clock.now)))

    async def _log_in(self, request: web.Request) -> web.Response:
        """A new access token, as if the customer had logged in."""
        account = self._core.accounts.by_id[(await request.json())["user_id"]]
        self._core.accounts.log_in(account, self._core.clock.now)
        return _json(self._account_row(account))

    async def _clock(self, _request: web.Request) -> web.Response:
        clock, market = self._core.clock, self._core.market
        return _json({"now": clock.local.isoformat(), "open": market.in_session(clock.now)})

    async def _rates(self, _request: web.Request) -> web.Response:
        """The most calls of each customer in any second of venue time, of those a limit still remembers."""
        return _json({"busiest_second": self._core.rates.report(), "refused": self._core.rates.refused})

    async def _advance(self, request: web.Request) -> web.Response:
        """`{"seconds": 5}` or `{"to": "2026-11-20T10:00:00"}`, IST where it names no zone."""
        asked, clock = await request.json(), self._core.clock
        if "to" in asked:
            to = datetime.fromisoformat(asked["to"])
            await self._advance_to(to if to.tzinfo else to.replace(tzinfo=IST))
        else:
            await self._advance_to(clock.later(float(asked["seconds"])))
        return await self._clock(request)

    async def _begin(self, request: web.Request) -> web.Response:
        self._begin_now()
        return await self._clock(request)

    async def _faults(self, _request: web.Request) -> web.Response:
        return _json([planned.fault for planned in self._core.planned])

    async def _inject(self, request: web.Request) -> web.Response:
        try:
            self._core.inject(faults.parse(await request.read()))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return await self._faults(request)

    async def _trade_by_hand(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return _json(self._core.trade_by_hand(asked.pop("user_id"), asked))

    def _account_row(self, account: Account) -> dict[str, Any]:
        now = self._core.clock.now
        tokens = {f"{kind}_token": self._core.accounts.tokens(account, kind, now)[-1:] for kind in TokenKind}
        return {
            "user_id": account.user_id,
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "login_code": account.login_code,
            **{name: newest[0] if newest else None for name, newest in tokens.items()},
        }


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
