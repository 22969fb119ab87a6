"""Pauses between attempts: exponential with full jitter, without end."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """`next` is uniform between 0 and a bound that doubles from `first` to `limit` seconds; `reset` after a success.

    Full jitter, as a thousand clients of a venue that comes back must not all knock at the same moment.
    """

    def __init__(self, jitter: Callable[[], float], *, first: float = 0.5, limit: float = 30.0) -> None:
        self._jitter, self._first, self._limit = jitter, first, limit
        self._bound = first

    def next(self) -> float:
        pause = self._jitter() * self._bound
        self._bound = min(self._bound * 2, self._limit)
        return pause

    def reset(self) -> None:
        self._bound = self._first
