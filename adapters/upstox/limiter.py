"""Pacing of requests by a true sliding window: common limiters reset at fixed edges and let twice the limit through."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runtime.errors import InvalidConfig


class RateLimit(msgspec.Struct, frozen=True):
    """At most `count` messages in any span of `seconds`."""

    count: int
    seconds: float


ORDER_LIMITS = (RateLimit(8, 1.0), RateLimit(480, 60.0), RateLimit(1900, 1800.0))
"""Below the 10 a second, 500 a minute and 2,000 in 30 minutes that an unregistered algo may send."""


class SlidingWindow:
    """Waits, first come first served, until one more message keeps every limit.

    `quiet_seconds` from now on nothing is let through: a process that died a moment ago may have used up the window.
    """

    def __init__(
        self,
        limits: Sequence[RateLimit] = ORDER_LIMITS,
        *,
        quiet_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits, self._now, self._sleep = tuple(limits), now, sleep
        self._kept = max(limit.count for limit in limits)
        self._sent: deque[float] = deque(maxlen=self._kept)
        self._opens_at = now() + quiet_seconds
        self._turn = asyncio.Lock()

    async def acquire(self, count: int = 1) -> None:
        """Returns when `count` messages may leave now; they are counted as sent.

        Raises:
            InvalidConfig: more at once than a limit ever allows.
        """
        least = min(limit.count for limit in self._limits)
        if count > least:
            raise InvalidConfig("messages", count, f"at most {least} can leave together under the order rate limit")
        async with self._turn:
            while (pause := self._room_at(count) - self._now()) > 0:
                await self._sleep(pause)
            self._sent.extend([self._now()] * count)

    def _room_at(self, count: int) -> float:
        """When `count` more keep every limit: the one `limit.count - count + 1` back from the newest must have left the window."""
        room_at = self._opens_at
        for limit in self._limits:
            back = limit.count - count + 1
            if back <= len(self._sent):
                room_at = max(room_at, self._sent[-back] + limit.seconds)
        return room_at
