"""A websocket of Upstox's: opened anew each time, watched by its owner, never given up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from adapters.upstox.backoff import Backoff
from adapters.upstox.token import AccessToken

MESSAGE_BYTES_MAX = 32 * 1024 * 1024
HANDSHAKE_SECONDS = 10.0
LOOK_EVERY_SECONDS = 0.5
FORBIDDEN_MAX = 3
"""So many 403 in a row mean that the token is no good; fewer may be a socket of ours that the venue has not noticed to be gone."""

Send: TypeAlias = Callable[[bytes], Awaitable[None]]


class Stale(Exception):
    """The socket is open and says nothing."""


class VenueSocket:
    """Keeps one socket to `url` open until cancelled, and tells its owner of every message and every beginning and end.

    The address answers with a redirect whose target holds a one-time code, so it is asked again for every connection. Any
    end is an outage, also an orderly one (close code 1000). A refused token is not tried twice: the next attempt waits for
    a new one. `is_stale` is asked twice a second while the socket is open.
    """

    def __init__(
        self,
        url: str,
        token: AccessToken,
        *,
        greet: Callable[[Send], Awaitable[None]],
        on_message: Callable[[bytes], None],
        on_down: Callable[[str], None],
        on_auth_expired: Callable[[str], None],
        is_stale: Callable[[], bool] = lambda: False,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url, self._token = url, token
        self._greet, self._on_message, self._on_down, self._on_auth_expired = greet, on_message, on_down, on_auth_expired
        self._is_stale, self._sleep = is_stale, sleep
        self._backoff = Backoff(jitter)
        self._connection: ClientConnection | None = None
        self._forbidden = 0

    @property
    def is_open(self) -> bool:
        return self._connection is not None

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

    async def send(self, message: bytes) -> None:
        """Now, if there is a connection; the next one begins with `greet` anyway."""
        if self._connection is None:
            return
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            return

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
            self._connection = connection
            try:
                await self._greet(connection.send)
                await self._receive(connection)
            finally:
                self._connection = None

    async def _receive(self, connection: ClientConnection) -> None:
        watch = asyncio.create_task(self._watch(connection))
        try:
            while True:
                message = await connection.recv(decode=False)
                self._on_message(message)
                self._backoff.reset()
        except ConnectionClosed:
            if watch.done():
                raise Stale from None
            raise
        finally:
            watch.cancel()

    async def _watch(self, connection: ClientConnection) -> None:
        """Ends, and with it the connection, once the owner finds it stale: a half-open socket never closes by itself."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            if self._is_stale():
                connection.transport.abort()
                return

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
