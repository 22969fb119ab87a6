"""Request limits per customer and kind of API, over sliding windows of venue time."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from tests.venues.upstox.settings import Rate


class RateCounter:
    """Remembers when each customer called; a call beyond a limit is not counted."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], deque[datetime]] = {}
        self.refused = 0

    def take(self, user_id: str, kind: str, rates: tuple[Rate, ...], now: datetime, weight: int = 1) -> bool:
        """Whether `weight` more calls fit into every window."""
        if not rates:
            return True
        calls = self._calls.setdefault((user_id, kind), deque())
        longest = max(rate.seconds for rate in rates)
        while calls and calls[0] <= now - timedelta(seconds=longest):
            calls.popleft()
        if any(_within(calls, now, rate) + weight > rate.requests for rate in rates):
            self.refused += 1
            return False
        calls.extend([now] * weight)
        return True

    def report(self) -> dict[str, dict[str, int]]:
        """Per customer and kind of call, the most in any one second."""
        report: dict[str, dict[str, int]] = {}
        for user_id, kind in self._calls:
            report.setdefault(user_id, {})[kind] = self.busiest(user_id, kind)
        return report

    def busiest(self, user_id: str, kind: str, seconds: int = 1) -> int:
        """The most calls this customer made in any window of so many seconds, of those still remembered."""
        calls = self._calls.get((user_id, kind), deque())
        window = timedelta(seconds=seconds)
        return max((sum(start <= call < start + window for call in calls) for start in calls), default=0)


def _within(calls: deque[datetime], now: datetime, rate: Rate) -> int:
    since = now - timedelta(seconds=rate.seconds)
    count = 0
    for call in reversed(calls):
        if call <= since:
            break
        count += 1
    return count
