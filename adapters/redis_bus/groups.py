"""Reading as a member of a consumer group, so that every entry is acknowledged by somebody."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from redis.exceptions import ResponseError

from adapters.redis_bus.connection import BLOCK_SECONDS_MAX, Connection

Fields: TypeAlias = dict[bytes, bytes]
Entries: TypeAlias = list[tuple[bytes, Fields | None]]
"""(id, fields), where fields are None for an entry that was trimmed away before it was acknowledged."""

_PENDING_LOOKED_AT_MAX = 1000


class GroupReader:
    """One consumer of one group. What it had received and not acknowledged before a restart, or before its connection broke,
    comes first; what other consumers have held for `abandoned_seconds` is taken over, then and later.
    """

    def __init__(self, connection: Connection, stream: str, group: str, consumer: str, abandoned_seconds: float) -> None:
        self._connection = connection
        self._stream, self._group, self._consumer = stream, group, consumer
        self._abandoned_seconds = abandoned_seconds
        self._last_received: bytes | str = "0"
        self._in_doubt = True
        """Entries after `_last_received` may have been handed to us without our knowing."""
        self._claim_at = 0.0

    async def read(self, count: int, block_seconds: float) -> Entries:
        now = asyncio.get_running_loop().time
        deadline = now() + block_seconds
        while True:
            wait = min(deadline - now(), BLOCK_SECONDS_MAX, self._abandoned_seconds)
            entries = await self._connection.retrying(lambda wait=wait: self._read_once(count, wait))
            if entries or now() >= deadline:
                return entries

    async def _read_once(self, count: int, wait_seconds: float) -> Entries:
        if self._in_doubt:
            received = await self._received(count)
            if received:
                return received
            self._in_doubt = False
        now = asyncio.get_running_loop().time()
        if now >= self._claim_at:
            self._claim_at = now + self._abandoned_seconds
            abandoned = await self._abandoned(count)
            if abandoned:
                return abandoned
        self._in_doubt = True
        entries = await self._read_group(">", count, wait_seconds)
        self._in_doubt = False
        return entries

    async def _received(self, count: int) -> Entries:
        return await self._read_group(self._last_received, count, 0)

    async def _read_group(self, after: bytes | str, count: int, wait_seconds: float) -> Entries:
        block = ("BLOCK", max(1, int(wait_seconds * 1000))) if wait_seconds > 0 else ()
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", count, *block, "STREAMS", self._stream, after)
        try:
            answer = await self._connection.run_blocking(*command)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await create_group(self._connection, self._stream, self._group)  # the server came back without its data
            return []
        entries = stream_entries(answer)
        if entries:
            self._last_received = entries[-1][0]
        return entries

    async def _abandoned(self, count: int) -> Entries:
        """Not XAUTOCLAIM: it would also hand out again what this consumer is working on."""
        idle_ms = int(self._abandoned_seconds * 1000)
        pending: list[dict[str, Any]] = await self._connection.commands.xpending_range(
            self._stream, self._group, min="-", max="+", count=_PENDING_LOOKED_AT_MAX, idle=idle_ms
        )
        theirs = [held["message_id"] for held in pending if held["consumer"] != self._consumer.encode()][:count]
        if not theirs:
            return []
        # Their ids may be below `_last_received`: should the answer be lost, look through all that is ours.
        last_received, self._last_received, self._in_doubt = self._last_received, "0", True
        entries = await self._connection.run_blocking("XCLAIM", self._stream, self._group, self._consumer, idle_ms, *theirs)
        self._last_received, self._in_doubt = last_received, False
        return entries


async def create_group(connection: Connection, stream: str, group: str) -> None:
    """Idempotent; the group starts at the stream's beginning."""

    async def create() -> None:
        try:
            await connection.commands.execute_command("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    await connection.retrying(create)


def stream_entries(answer: Any) -> Entries:
    """The entries in the answer to XREAD or XREADGROUP of one stream; none when it timed out."""
    return answer[0][1] if answer else []
