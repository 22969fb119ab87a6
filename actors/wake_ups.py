"""Who wants to be woken when: one wake-up per trader, the earliest first."""

from __future__ import annotations

import heapq
from datetime import datetime

_STALE_MAX = 1_000


class WakeUps:
    """Setting or cancelling one costs O(log n); what it replaced lies in the heap until its time or until too much of that lies there."""

    def __init__(self) -> None:
        self._times: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []

    def set(self, user_id: str, ts: datetime) -> None:
        self._times[user_id] = ts
        heapq.heappush(self._heap, (ts, user_id))
        if len(self._heap) > 2 * len(self._times) + _STALE_MAX:
            self._heap = [(time, user) for user, time in self._times.items()]
            heapq.heapify(self._heap)

    def cancel(self, user_id: str) -> None:
        self._times.pop(user_id, None)

    def due(self, now: datetime) -> list[str]:
        """Those whose time has come, earliest first; each is woken once."""
        users: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            ts, user_id = heapq.heappop(self._heap)
            if self._times.get(user_id) == ts:
                del self._times[user_id]
                users.append(user_id)
        return users
