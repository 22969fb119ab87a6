"""The venue's clock and everything that is to happen at a time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

from runtime.market import IST

Action = Callable[[], None]


class VenueClock:
    """Time of the exchange. `run_to` is the only thing that moves it; what is due happens in order of time, then of request.

    `next_step` names the next moment after a given one at which the market moves, `on_step` is told when it has come.
    """

    def __init__(self, start: datetime) -> None:
        self.now = start.astimezone(UTC)
        self.next_step: Callable[[datetime], datetime] | None = None
        self.on_step: Action = lambda: None
        self._due: list[tuple[datetime, int, Action]] = []
        self._number = count()

    @property
    def local(self) -> datetime:
        return self.now.astimezone(IST)

    def later(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)

    def after(self, seconds: float, action: Action) -> None:
        """Run `action` in so many venue seconds; at once when that is none."""
        if seconds <= 0:
            action()
        else:
            self.at(self.later(seconds), action)

    def at(self, ts: datetime, action: Action) -> None:
        heapq.heappush(self._due, (ts.astimezone(UTC), next(self._number), action))

    async def sleep(self, seconds: float) -> None:
        """Wait until so many venue seconds have passed."""
        passed = asyncio.Event()
        self.after(seconds, passed.set)
        await passed.wait()

    def next_event(self) -> datetime:
        """When something happens next."""
        step = self._step()
        return min(step, self._due[0][0]) if self._due else step

    def run_to(self, ts: datetime) -> None:
        """Let everything happen that is due until `ts`, then stand at `ts`."""
        end = ts.astimezone(UTC)
        while True:
            step = self._step()
            event = min(step, self._due[0][0]) if self._due else step
            if event > end:
                break
            self.now = max(self.now, event)
            if step == event:
                self.on_step()
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
        self.now = max(self.now, end)

    def _step(self) -> datetime:
        return datetime.max.replace(tzinfo=UTC) if self.next_step is None else self.next_step(self.now)
