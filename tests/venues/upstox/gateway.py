"""The way of every request: journal, fault, token, address, limit, handler, fault again, answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from inspect import isawaitable
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from tests.venues.upstox import faults
from tests.venues.upstox.accounts import Account, TokenKind
from tests.venues.upstox.books import OrderScript
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import ApiError, refusal
from tests.venues.upstox.journal import Call, safe_headers, safe_text
from tests.venues.upstox.settings import Rate

Access: TypeAlias = Literal["none", "market", "read", "trade"]
"""Who may call: anybody; every kind of token; access and extended tokens; access tokens from a registered address."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A request on its way to its handler. `account` is None where no token is asked for."""

    request: web.Request
    text: str
    body: Any
    account: Account
    script: OrderScript
    spend: Callable[[int], None]
    """Counts so many more orders against the limit; raises ApiError 429 beyond it."""

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON body, which must be an object."""
        if not isinstance(self.body, dict):
            raise refusal("UDAPI100036", "The body must be a JSON object")
        return self.body


Handler: TypeAlias = Callable[[Core, Caller], Any]
"""Returns the JSON answer or a finished response, perhaps to be awaited."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`rate`: which limits the call counts towards; None: none. `hft`: served by the order host."""

    operation: str
    method: str
    path: str
    handler: Handler
    access: Access = "read"
    rate: Literal["order", "multi", "read"] | None = "read"
    hft: bool = False


class Gateway:
    """Answers the routes of one host out of a venue's core."""

    def __init__(self, core: Core, host: str, routes: Sequence[Route], on_call: Callable[[], None]) -> None:
        self._core = core
        self._host = host
        self._on_call = on_call
        self.app = web.Application(client_max_size=2**20)
        for route in routes:
            self.app.router.add_route(route.method, route.path, self._handler(route))
        self.app.router.add_route("*", "/{path:.*}", self._unknown)

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._on_call()
            return await self._serve(route, request)

        return handle

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        self._journal(request, "unknown", "", None, 404, None)
        return refusal("UDAPI100060", value=request.path).response()

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        user_id = self._user_of(request)
        struck = self._core.strike(route.operation, user_id)
        names = ",".join(type(fault).__name__ for fault in struck) or None
        response = await self._answer(route, request, text, struck)
        self._journal(request, route.operation, text, user_id, None if response is None else response.status, names)
        if response is None:
            return _cut(request)
        return response

    async def _answer(self, route: Route, request: web.Request, text: str, struck: list[faults.CallFault]) -> web.StreamResponse | None:
        """None: the connection is to be cut."""
        for fault in struck:
            match fault:
                case faults.DropBeforeCommit():
                    return None
                case faults.TooManyRequests():
                    return _with_retry(refusal("UDAPI10005").response(), fault.retry_after)
                case faults.Answer(taken=False):
                    return _scripted(fault)
                case faults.Hang(taken=False):
                    await asyncio.Event().wait()
        try:
            answer: Any = self._handle(route, request, text, _script(struck))
            if isawaitable(answer):
                answer = await answer
        except ApiError as error:
            answer = error.response()
        return await self._after(answer, struck)

    def _handle(self, route: Route, request: web.Request, text: str, script: OrderScript) -> Any:
        core, now = self._core, self._core.clock.now
        account: Account | None = None
        if route.access != "none":
            token = core.accounts.check(request.headers.get("Authorization"), now)
            account = token.account
            _check_access(route.access, token.kind, core.settings.analytics_refusal)
            if route.access == "trade" and not account.may_order_from(request.remote or ""):
                raise refusal("UDAPI1154")
            self._check_rate(route, request, account)
        try:
            body = json.loads(text) if text and request.content_type == "application/json" else None
        except ValueError:
            raise refusal("UDAPI100036", "The body is not JSON") from None
        spend = partial(self._check_rate, route, request, account)
        caller = Caller(request=request, text=text, body=body, account=account, script=script, spend=spend)  # type: ignore[arg-type]
        return route.handler(core, caller)

    def _check_rate(self, route: Route, request: web.Request, account: Account, calls: int = 1) -> None:
        settings = self._core.settings
        algo = request.headers.get("X-Algo-Name")
        if route.rate == "order" and algo and algo not in account.settings.algo_names:
            raise refusal("UDAPI1156")
        if route.rate is None or not settings.rate_limits:
            return
        rates: dict[str, tuple[Rate, ...]] = {
            "order": settings.order_rates_registered if algo else settings.order_rates,
            "multi": settings.multi_order_rates,
            "read": settings.read_rates,
        }
        together = route.rate == "multi" or (route.rate == "order" and settings.orders_counted_together)
        kind = route.rate if together else route.operation
        if not self._core.rates.take(account.user_id, kind, rates[route.rate], self._core.clock.now, calls):
            raise refusal("UDAPI10005")

    async def _after(self, answer: Any, struck: list[faults.CallFault]) -> web.StreamResponse | None:
        for fault in struck:
            match fault:
                case faults.DropAfterCommit():
                    return None
                case faults.Answer():
                    return _scripted(fault)
                case faults.Hang():
                    await asyncio.Event().wait()
                case faults.Delay():
                    await self._core.clock.sleep(fault.seconds)
                    await asyncio.sleep(fault.wall_seconds)
                case faults.Rewrite():
                    if not isinstance(answer, web.StreamResponse):
                        answer = faults.rewrite(answer, fault.fields)
        response = answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)
        for fault in struck:
            if isinstance(fault, faults.WrongDate):
                response.headers["Date"] = formatdate(time.time() + fault.seconds, usegmt=True)
        return response

    def _user_of(self, request: web.Request) -> str | None:
        try:
            return self._core.accounts.check(request.headers.get("Authorization"), self._core.clock.now).account.user_id
        except ApiError:
            return None

    def _journal(self, request: web.Request, operation: str, text: str, user_id: str | None, status: int | None, fault: str | None) -> None:
        call = Call(
            ts=self._core.clock.now,
            host=self._host,
            method=request.method,
            path=request.path,
            query=safe_text(request.query_string),
            headers=safe_headers(dict(request.headers)),
            body=safe_text(text),
            user_id=user_id,
            operation=operation,
            peer=request.remote or "",
            status=status,
            fault=fault,
        )
        self._core.journal.add(call)


def _check_access(access: Access, kind: TokenKind, analytics_refusal: tuple[int, str]) -> None:
    if access == "market" or kind is TokenKind.ACCESS:
        return
    if kind is TokenKind.ANALYTICS:
        status, code = analytics_refusal
        raise refusal(code, "The API you are trying to access is not permitted with an analytics token", status=status)
    if access == "trade":
        raise refusal("UDAPI100067")


def _script(struck: list[faults.CallFault]) -> OrderScript:
    script = OrderScript()
    for fault in struck:
        match fault:
            case faults.LateAcceptance():
                script = msgspec.structs.replace(script, seconds=fault.seconds, hidden=fault.hidden)
            case faults.RejectLater():
                script = msgspec.structs.replace(script, reject=fault.reason, seconds=fault.seconds)
            case faults.PartialFills():
                script = msgspec.structs.replace(script, fills=fault.quantities, every=fault.every)
            case _:
                pass
    return script


def _scripted(fault: faults.Answer) -> web.Response:
    if fault.body is not None:
        response = web.Response(status=fault.status, text=fault.body, content_type=fault.content_type)
    else:
        response = ApiError(fault.status, fault.code, fault.message).response()
    return _with_retry(response, fault.retry_after)


def _with_retry(response: web.Response, seconds: int | None) -> web.Response:
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
