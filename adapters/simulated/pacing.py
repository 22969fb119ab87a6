"""How fast venue time passes."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Protocol

from runtime.errors import InvalidConfig
from runtime.ports import Clock

_BATCHES_BETWEEN_YIELDS = 32
_SKIPPED_PAUSE = timedelta(hours=1)


class Pacer(Protocol):
    async def wait_until(self, ts: datetime) -> None:
        """Return when the venue's clock may reach `ts`; called with ascending times."""
        ...


class FreePacer:
    """Never waits, but lets the rest of the event loop run every few batches."""

    def __init__(self) -> None:
        self._batches = 0

    async def wait_until(self, ts: datetime) -> None:
        del ts
        self._batches += 1
        if self._batches % _BATCHES_BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)


class ScaledPacer:
    """Venue time runs `speed` times as fast as `clock`, from the first batch on.

    A pause of more than an hour between two batches, such as a night, is not waited for. A consumer that has fallen
    behind is not waited for either: it gets its batches at once until it has caught up.
    """

    def __init__(self, clock: Clock, speed: float = 1.0) -> None:
        if not 0 < speed < float("inf"):
            raise InvalidConfig("speed", speed, "must be positive and finite: 1 is real time, 60 a minute per second")
        self._clock = clock
        self._speed = speed
        self._venue_start: datetime | None = None
        self._wall_start = clock.now()
        self._last: datetime | None = None

    async def wait_until(self, ts: datetime) -> None:
        now = self._clock.now()
        if self._venue_start is None or self._last is None or ts - self._last > _SKIPPED_PAUSE:
            self._venue_start, self._wall_start = ts, now
        self._last = ts
        due = self._wall_start + (ts - self._venue_start) / self._speed
        await self._clock.sleep(max((due - now).total_seconds(), 0.0))
