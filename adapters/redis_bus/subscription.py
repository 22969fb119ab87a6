"""A pub/sub subscription that outlives its connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection

from adapters.redis_bus.connection import CONNECTION_LOST, Connection


class RedisSubscription:
    """Messages of `channels` as (channel, payload); in effect once entered.

    After a reconnect it subscribes again; what was published in between is lost. Redis also cuts a subscriber that reads
    too slowly: watch the sequence numbers of what you read.

    Connecting and logging in is redis-py's; messages are read from its parser directly, since its `PubSub` costs four times
    as much for each. All that one read from the socket brought is handed out without going through the event loop again.
    """

    def __init__(self, connection: Connection, channels: tuple[str, ...], prefix: str) -> None:
        self._connection = connection
        self._channels = {(prefix + channel).encode(): channel for channel in channels}
        self._socket: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        await self._connection.retrying(self._subscribed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            socket = self._socket or await self._connection.retrying(self._subscribed)
            parser: Any = socket._parser  # pyright: ignore[reportPrivateUsage]
            try:
                while True:
                    kind, channel, payload = await parser.read_response()
                    if kind == b"message":
                        yield self._channels[channel], payload
            except CONNECTION_LOST:
                await self._drop()

    async def _subscribed(self) -> AbstractConnection:
        """Back once the server has confirmed every channel: what is published after that is heard."""
        self._socket = socket = self._connection.open_socket()
        try:
            await socket.connect()
            await socket.send_command("SUBSCRIBE", *self._channels)
            for _ in self._channels:
                await socket.read_response()
        except CONNECTION_LOST:
            await self._drop()
            raise
        return socket

    async def _drop(self) -> None:
        if self._socket is not None:
            await self._socket.disconnect(nowait=True)
            self._socket = None
