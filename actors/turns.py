"""Whose turn it is first when a signal concerns many users of a host."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

_GOLDEN = 0.618_033_988_749_894_9


class Turns:
    """The users stand in a circle, and each signal begins a golden section of it further on.

    After n signals every user has been served early and late about equally often: the mean of his ranks differs from the middle
    by O(log n / n) of the users, where a shuffle for each signal leaves O(1 / sqrt n) to luck (the fractional parts of n times
    the golden section have the least discrepancy: L. Kuipers, H. Niederreiter, Uniform Distribution of Sequences, 1974). Where
    the first signal of a process begins depends on it and on the host, so that no restart favours the same users again.
    """

    def __init__(self, host_id: str) -> None:
        self._host_id = host_id
        self._phase: float | None = None

    def order(self, users: Sequence[str], signal_id: str) -> list[str]:
        """The users as this signal is to reach them."""
        if self._phase is None:
            self._phase = Random(f"{signal_id}:{self._host_id}").random()
        self._phase = (self._phase + _GOLDEN) % 1.0
        first = int(self._phase * len(users))
        return [*users[first:], *users[:first]]
