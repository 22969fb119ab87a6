"""Connections to Redis that are found again after it was away, within a bound."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from runtime.errors import ServerUnavailable

T = TypeVar("T")

CONNECTION_LOST = (RedisConnectionError, RedisTimeoutError, OSError)
_TRANSIENT = (*CONNECTION_LOST, ReadOnlyError)  # read-only: a replica, until the failover is over
_CONNECTIONS_MAX = 16
_ANSWER_SECONDS_MAX = 5.0
_PAUSE_SECONDS = (0.02, 0.5)
BLOCK_SECONDS_MAX = 5.0
"""Longest single blocking read, so that a server that hangs is noticed."""

_SOCKET: dict[str, Any] = {
    "protocol": 2,
    "retry": Retry(NoBackoff(), 0),  # `retrying` does it: bounded in seconds, also while connecting
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,  # finds a dead peer under a subscription, which only ever reads
    "socket_keepalive_options": {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3},
}


class Connection:
    """One server: a small pool for commands, and connections of their own for whoever blocks."""

    def __init__(self, url: str, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self.commands: Redis = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS_MAX, timeout=patience_seconds, socket_timeout=_ANSWER_SECONDS_MAX, **_SOCKET
            )
        )
        self._blocking: Redis = Redis.from_pool(
            ConnectionPool.from_url(url, max_connections=1000, socket_timeout=BLOCK_SECONDS_MAX + _ANSWER_SECONDS_MAX, **_SOCKET)
        )

    async def run(self, *command: str | bytes | int) -> Any:
        """The answer to one command, sent again while the connection fails: only for commands that may be repeated.

        Raises:
            ServerUnavailable: the server stayed away, or answered with an error.
        """
        return await self.retrying(lambda: _execute(self.commands, command))

    async def run_blocking(self, *command: str | bytes | int) -> Any:
        """The answer to a command that waits, asked once.

        Raises:
            RedisError, OSError: as they come; put `retrying` around.
        """
        return await _execute(self._blocking, command)

    def open_socket(self) -> AbstractConnection:
        """A connection for one owner, to be connected by `connect`, which logs in, and closed by `disconnect`."""
        return self._blocking.connection_pool.make_connection()

    async def retrying(self, operation: Callable[[], Awaitable[T]]) -> T:
        """`operation`, again while the connection fails. Raises `ServerUnavailable` as `run` does."""
        now = asyncio.get_running_loop().time
        deadline = now() + self._patience_seconds
        pause, pause_max = _PAUSE_SECONDS
        while True:
            try:
                return await operation()
            except AuthenticationError as error:
                raise ServerUnavailable(f"Redis refused the login: {error}; check REDIS_URL") from error
            except _TRANSIENT as error:
                if now() + pause > deadline:
                    raise ServerUnavailable(f"Redis did not answer for {self._patience_seconds:g} s: {error}") from error
                await asyncio.sleep(pause)
                pause = min(2 * pause, pause_max)
            except RedisError as error:
                raise ServerUnavailable(f"Redis refused: {error}") from error

    async def close(self) -> None:
        for client in (self.commands, self._blocking):
            await client.aclose()
            await client.connection_pool.disconnect()


def _execute(client: Redis, command: tuple[str | bytes | int, ...]) -> Awaitable[Any]:
    return cast("Awaitable[Any]", client.execute_command(*command))
