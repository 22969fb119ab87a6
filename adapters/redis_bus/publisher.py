"""Publishing without waiting for each answer."""

from __future__ import annotations

import asyncio

from adapters.redis_bus.connection import Connection
from runtime.errors import ServerUnavailable

WAITING_MAX = 10_000


class Publisher:
    """Sends messages in the order they came; what has gathered during one round trip goes with the next.

    While the server is away up to `waiting_max` messages wait, and whoever publishes more waits as well. What the server has
    not taken within the connection's patience is lost; the next call says so, once.
    """

    def __init__(self, connection: Connection, *, waiting_max: int = WAITING_MAX) -> None:
        self._connection = connection
        self._waiting_max = waiting_max
        self._waiting: list[tuple[str, bytes]] = []
        self._sending: asyncio.Task[None] | None = None
        self._lost: ServerUnavailable | None = None

    async def publish(self, channel: str, payload: bytes) -> None:
        """Usually back before the message is sent. Raises `ServerUnavailable` when earlier ones were lost."""
        while self._sending is not None and len(self._waiting) >= self._waiting_max:
            await asyncio.wait([self._sending])
        self._complain()
        self._waiting.append((channel, payload))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def flush(self) -> None:
        """Back when everything is sent. Raises `ServerUnavailable` when messages were lost."""
        while self._sending is not None:
            await asyncio.wait([self._sending])
        self._complain()

    def _complain(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            raise lost

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._connection.retrying(lambda batch=batch: self._send_batch(batch))
        except ServerUnavailable as error:
            self._waiting.clear()
            self._lost = error
        finally:
            self._sending = None

    async def _send_batch(self, batch: list[tuple[str, bytes]]) -> None:
        pipeline = self._connection.commands.pipeline(transaction=False)
        for message in batch:
            pipeline.execute_command("PUBLISH", *message)
        await pipeline.execute()
