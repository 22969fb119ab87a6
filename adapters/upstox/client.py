"""HTTP to Upstox for one account. Reads are tried again; what changes something is sent exactly once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import httpx
import msgspec

from adapters.upstox.endpoints import Egress, Endpoints
from adapters.upstox.refusals import Fault, classify_change
from adapters.upstox.token import ASK_FOR_LOGIN, AccessToken
from runtime.accounts import BrokerMessage, OnBrokerMessage
from runtime.errors import BrokerError, BrokerRefused, BrokerUnavailable, OutcomeUnknown, RateLimited, SessionExpired

READ_ATTEMPTS = 3
PAUSE_SECONDS_MAX = 4.0
KEEPALIVE_SECONDS = 4.0
"""Below what servers and proxies allow: a request written to a connection that is just being closed has no known outcome."""
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 8.0

Params: TypeAlias = Mapping[str, str | int]
Method: TypeAlias = Literal["POST", "PUT", "DELETE"]


class _Envelope(msgspec.Struct, frozen=True):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[Fault] | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


class UpstoxClient:
    """One connection pool, one token, one way out of the machine. `on_message` hears of each request that changes something."""

    def __init__(
        self,
        token: AccessToken,
        endpoints: Endpoints | None = None,
        *,
        egress: Egress | None = None,
        algo_name: str | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        on_message: OnBrokerMessage = lambda _: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.token = token
        self.endpoints = endpoints or Endpoints()
        self.jitter, self._answer_seconds, self._on_message = jitter, answer_seconds, on_message
        egress = egress or Egress()
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                local_address=egress.local_address,
                proxy=egress.proxy,
                trust_env=False,
                limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=KEEPALIVE_SECONDS),
            ),
            timeout=httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            headers={"Accept": "application/json"} | ({} if algo_name is None else {"X-Algo-Name": algo_name}),
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"UpstoxClient({self.endpoints.api}, {self.token!r})"

    async def close(self) -> None:
        """Idempotent."""
        await self._http.aclose()

    async def read(self, path: str, params: Params | None = None, *, authorized: bool = True) -> bytes:
        """JSON of the answer's `data`. Tried up to three times with growing, jittered pauses.

        Raises:
            SessionExpired: the token is refused, or was before.
            BrokerRefused: a definite no, such as an unknown instrument.
            RateLimited, BrokerUnavailable: no answer that can be used.
        """
        url = path if path.startswith("http") else f"{self.endpoints.api}{path}"
        for attempt in range(READ_ATTEMPTS):
            try:
                return await self._read_once(url, params, authorized=authorized)
            except BrokerUnavailable as error:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                least = error.retry_after if isinstance(error, RateLimited) else 0.0
                await asyncio.sleep(min(PAUSE_SECONDS_MAX, least + self.jitter() * 0.25 * 4**attempt))
        raise AssertionError  # the loop returns or raises

    async def change(
        self,
        method: Method,
        url: str,
        *,
        json: object = None,
        params: Params | None = None,
        answer_seconds: float | None = None,
        order_id: str | None = None,
    ) -> bytes:
        """Send one request that changes something, once. JSON of the answer's `data`.

        `answer_seconds`: wait no longer than this. `order_id`: the order of ours that it is about.

        Raises:
            OutcomeUnknown: it may or may not have been carried out.
            BrokerUnavailable, RateLimited: it certainly was not.
            BrokerRefused: a definite no.
        """
        bearer = self.token.bearer()
        operation = f"{method} {url.rpartition('/v')[2]}"
        patience = min(self._answer_seconds, answer_seconds or self._answer_seconds)
        timeout = httpx.Timeout(patience, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
        headers = {"Authorization": bearer}
        request = self._http.build_request(method, url, json=json, params=params, headers=headers, timeout=timeout)
        response = await self._send(request, operation, patience, json if params is None else dict(params), order_id)
        envelope = _envelope(response)
        if response.is_success:
            if envelope is None or envelope.status not in {"success", "partial_success"}:
                raise OutcomeUnknown(f"{operation}: HTTP {response.status_code} with an answer that cannot be read")
            return bytes(envelope.data)
        fault = envelope.errors[0] if envelope is not None and envelope.errors else None
        error = classify_change(response.status_code, fault, operation, retry_after=_retry_after(response))
        if isinstance(error, SessionExpired):
            self.token.refused(bearer)
            raise SessionExpired(ASK_FOR_LOGIN, error.code)
        raise error

    async def _send(self, request: httpx.Request, operation: str, patience: float, body: object, order_id: str | None) -> httpx.Response:
        """Once, and told to `on_message` however it ends."""
        begun = time.monotonic()
        told = partial(BrokerMessage, broker="upstox", operation=operation, order_id=order_id, request=body)
        try:
            response = await self._exchange(request, operation, patience)
        except BaseException as error:  # also when it is given up
            failure = str(error) or type(error).__name__
            self._on_message(told(answer=None, http_status=None, failure=failure, duration_ms=_milliseconds_since(begun)))
            raise
        answer = self.token.hidden_in(response.content)
        self._on_message(told(answer=answer, http_status=response.status_code, failure=None, duration_ms=_milliseconds_since(begun)))
        return response

    async def _exchange(self, request: httpx.Request, operation: str, patience: float) -> httpx.Response:
        """Raises `BrokerUnavailable` or `OutcomeUnknown` where no answer came."""
        try:
            async with asyncio.timeout(patience + CONNECT_SECONDS):  # an answer that drips in byte by byte is none
                response = await self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise BrokerUnavailable(f"{operation}: not sent, {type(error).__name__}") from None
        except (httpx.RequestError, TimeoutError) as error:
            raise OutcomeUnknown(f"{operation}: {type(error).__name__} after it was sent") from None
        return response

    async def _read_once(self, url: str, params: Params | None, *, authorized: bool) -> bytes:
        bearer = self.token.bearer() if authorized else ""
        operation = f"GET {httpx.URL(url).path}"
        try:
            async with asyncio.timeout(self._answer_seconds + CONNECT_SECONDS):
                response = await self._http.get(url, params=params, headers={"Authorization": bearer} if authorized else None)
        except (httpx.RequestError, TimeoutError) as error:
            raise BrokerUnavailable(f"{operation}: {type(error).__name__}") from None
        envelope = _envelope(response)
        if response.is_success:
            if envelope is None or envelope.status == "error":
                raise BrokerUnavailable(f"{operation}: HTTP {response.status_code} with an answer that cannot be read")
            return bytes(envelope.data)
        fault = envelope.errors[0] if envelope is not None and envelope.errors else None
        error = _read_error(response, fault, operation)
        if isinstance(error, SessionExpired):
            self.token.refused(bearer)
            raise SessionExpired(ASK_FOR_LOGIN, error.code)
        raise error

    async def clock_skew(self) -> float:
        """Seconds by which this machine is ahead of the broker's servers, to a second: HTTP dates are whole ones.

        Raises:
            BrokerUnavailable: no answer, or one without a date.
        """
        started = datetime.now(UTC)
        try:
            response = await self._http.get(f"{self.endpoints.api}/v2/market/timings/{started:%Y-%m-%d}")
            theirs = parsedate_to_datetime(response.headers["Date"])
        except (httpx.RequestError, KeyError, ValueError) as error:
            raise BrokerUnavailable(f"the broker's clock cannot be read: {type(error).__name__}") from None
        skew = (started + (datetime.now(UTC) - started) / 2 - theirs).total_seconds()
        return max(skew - 1.0, 0.0) if skew > 0 else skew

    async def download(self, url: str) -> bytes:
        """A public file, such as the instrument master. Raises `BrokerUnavailable`."""
        try:
            response = await self._http.get(url, follow_redirects=True, timeout=60.0)
        except httpx.RequestError as error:
            raise BrokerUnavailable(f"GET {url}: {type(error).__name__}") from None
        if not response.is_success:
            raise BrokerUnavailable(f"GET {url}: HTTP {response.status_code}")
        return response.content


def _read_error(response: httpx.Response, fault: Fault | None, operation: str) -> BrokerError:
    """A read that failed may be tried again unless the broker was definite."""
    error = classify_change(response.status_code, fault, operation, retry_after=_retry_after(response))
    if isinstance(error, OutcomeUnknown):
        return BrokerUnavailable(str(error))
    if response.status_code == HTTPStatus.FORBIDDEN:
        return BrokerRefused(str(error))
    return error


def _milliseconds_since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 3)


def _envelope(response: httpx.Response) -> _Envelope | None:
    try:
        return _decode(response.content)
    except msgspec.MsgspecError:
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """The header is not documented by Upstox, but proxies in front of it may send it."""
    try:
        seconds = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    return seconds if 0 <= seconds <= 3600 else None


def parse(data: bytes, kind: Any) -> Any:
    """`data` as `kind`; numbers sent as text are taken, unknown fields passed over.

    Raises:
        BrokerUnavailable: the broker's answer is not of that form.
    """
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except msgspec.MsgspecError as error:
        raise BrokerUnavailable(f"an answer of Upstox cannot be read: {error}") from None
