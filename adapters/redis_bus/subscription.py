"""A pub/sub subscription that outlives its connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

from redis.asyncio.client import PubSub

from adapters.redis_bus.connection import CONNECTION_LOST, Connection


class RedisSubscription:
    """Messages of `channels` as (channel, payload); in effect once entered.

    After a reconnect it subscribes again; what was published in between is lost. Redis also cuts a subscriber that reads
    too slowly: watch the sequence numbers of what you read.
    """

    def __init__(self, connection: Connection, channels: tuple[str, ...], prefix: str) -> None:
        self._connection = connection
        self._channels = [prefix + channel for channel in channels]
        self._prefix = prefix
        self._pubsub: PubSub | None = None

    async def __aenter__(self) -> Self:
        await self._connection.retrying(self._subscribed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop()

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            message = await self._connection.retrying(self._next)
            if message["type"] == "message":
                yield message["channel"].decode().removeprefix(self._prefix), message["data"]

    async def _next(self) -> dict[str, Any]:
        pubsub: Any = self._pubsub or await self._subscribed()
        try:
            return await pubsub.get_message(timeout=None)
        except CONNECTION_LOST:
            await self._drop()
            raise

    async def _subscribed(self) -> PubSub:
        """Back once the server has confirmed every channel: what is published after that is heard."""
        self._pubsub = pubsub = self._connection.pubsub()
        try:
            await pubsub.subscribe(*self._channels)
            for _ in self._channels:
                await pubsub.get_message(timeout=None)
        except CONNECTION_LOST:
            await self._drop()
            raise
        return pubsub

    async def _drop(self) -> None:
        if self._pubsub is not None:
            await self._pubsub.aclose()
            self._pubsub = None
