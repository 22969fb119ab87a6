"""The market data socket: opened anew each time, watched by the age of its data, never given up."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

import msgspec
from loguru import logger
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from adapters.feeds.upstox.backoff import Backoff
from adapters.upstox.token import AccessToken

KEYS_PER_MESSAGE = 500
MESSAGE_BYTES_MAX = 32 * 1024 * 1024
HANDSHAKE_SECONDS = 10.0
LOOK_EVERY_SECONDS = 0.5
FORBIDDEN_MAX = 3
"""So many 403 in a row mean that the token is no good; fewer may be a socket of ours that the venue has not noticed to be gone."""


class Stale(Exception):
    """The socket is open and says nothing."""


class MarketSocket:
    """Keeps one socket to `url` open. The owner is told of every frame, and of every beginning and end of a connection.

    The address answers with a redirect whose target holds a one-time code, so it is asked again for every connection. Any
    end is an outage, also an orderly one (close code 1000). A refused token is not tried twice.
    """

    def __init__(
        self,
        url: str,
        token: AccessToken,
        *,
        mode: str,
        on_open: Callable[[], None],
        on_frame: Callable[[bytes], None],
        on_down: Callable[[str], None],
        on_auth_expired: Callable[[str], None],
        is_stale: Callable[[], bool],
        keys: Callable[[], Iterable[str]],
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url, self._token, self._mode = url, token, mode
        self._on_open, self._on_frame, self._on_down, self._on_auth_expired = on_open, on_frame, on_down, on_auth_expired
        self._is_stale, self._keys, self._sleep = is_stale, keys, sleep
        self._backoff = Backoff(jitter)
        self._connection: ClientConnection | None = None
        self._forbidden = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._token.renewed()
            bearer = self._token.bearer()
            try:
                await self._connect_once(bearer)
            except InvalidStatus as error:
                self._refused(error, bearer)
            except (InvalidHandshake, ConnectionClosed, OSError, TimeoutError, Stale) as error:
                self._on_down(_describe(error))
            if self._token.is_valid:
                await self._sleep(self._backoff.next())

    async def send(self, method: str, keys: Iterable[str]) -> None:
        """Subscribe or unsubscribe now, if there is a connection; the next one begins with the whole set anyway."""
        connection = self._connection
        if connection is None:
            return
        try:
            await self._send(connection, method, keys)
        except ConnectionClosed:
            logger.debug("the market data socket closed while it was told to {}", method)

    async def _connect_once(self, bearer: str) -> None:
        async with connect(
            self._url,
            additional_headers={"Authorization": bearer},
            open_timeout=HANDSHAKE_SECONDS,
            close_timeout=1.0,
            ping_interval=None,  # silence is judged by the age of the data, and the vendor documents no pings
            max_size=MESSAGE_BYTES_MAX,
            compression=None,
            proxy=None,
        ) as connection:
            self._forbidden = 0
            self._on_open()
            self._connection = connection
            try:
                await self._send(connection, "sub", self._keys())
                await self._receive(connection)
            finally:
                self._connection = None

    async def _receive(self, connection: ClientConnection) -> None:
        watch = asyncio.create_task(self._watch(connection))
        stale = False
        try:
            async for message in connection:
                if isinstance(message, bytes):
                    self._on_frame(message)
                    self._backoff.reset()
            stale = watch.done() and not watch.cancelled()
        except ConnectionClosed:
            stale = watch.done()
            if not stale:
                raise
        finally:
            watch.cancel()
        if stale:
            raise Stale
        raise ConnectionClosed(None, None)

    async def _watch(self, connection: ClientConnection) -> None:
        """Ends, and with it the connection, once the owner finds the data too old: a half-open socket never closes by itself."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if self._is_stale():
                connection.transport.abort()
                return

    async def _send(self, connection: ClientConnection, method: str, keys: Iterable[str]) -> None:
        every = list(keys)
        for first in range(0, len(every), KEYS_PER_MESSAGE):
            some = every[first : first + KEYS_PER_MESSAGE]
            data = {"instrumentKeys": some} if method == "unsub" else {"mode": self._mode, "instrumentKeys": some}
            await connection.send(msgspec.json.encode({"guid": uuid.uuid4().hex, "method": method, "data": data}))

    def _refused(self, error: InvalidStatus, bearer: str) -> None:
        status = error.response.status_code
        self._forbidden = self._forbidden + 1 if status == HTTPStatus.FORBIDDEN else 0
        if status == HTTPStatus.UNAUTHORIZED or self._forbidden >= FORBIDDEN_MAX:
            self._forbidden = 0
            self._token.refused(bearer)
            self._on_auth_expired(f"HTTP {status}")
        else:
            self._on_down(f"HTTP {status}")


def _describe(error: Exception) -> str:
    """Without the address: after a redirect it holds a code."""
    match error:
        case Stale():
            return "no data although the market is open"
        case ConnectionClosed(rcvd=received):
            return "connection lost" if received is None else f"closed by the venue with code {received.code}"
        case _:
            return type(error).__name__
