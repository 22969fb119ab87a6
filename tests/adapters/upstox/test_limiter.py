"""The sliding window of order messages, under a clock that moves only when somebody waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.upstox.limiter import RateLimit, SlidingWindow
from runtime.errors import InvalidConfig


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def most_in_any_window(times: list[float], seconds: float) -> int:
    return max(sum(1 for other in times if start <= other < start + seconds) for start in times)


async def test_fifty_callers_at_once_never_exceed_any_of_the_limits() -> None:
    clock, limits = Clock(), (RateLimit(8, 1.0), RateLimit(20, 10.0))
    window = SlidingWindow(limits, quiet_seconds=0.0, now=clock.read, sleep=clock.sleep)
    sent: list[float] = []

    async def send() -> None:
        await window.acquire()
        sent.append(clock.now)

    await asyncio.gather(*(send() for _ in range(50)))
    assert len(sent) == 50
    assert most_in_any_window(sent, 1.0) == 8
    assert most_in_any_window(sent, 10.0) == 20


@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0.0, 2.0)), min_size=1, max_size=40))
def test_whatever_the_bursts_no_window_holds_more_than_the_limit(bursts: list[tuple[int, float]]) -> None:
    clock = Clock()
    window = SlidingWindow((RateLimit(8, 1.0),), quiet_seconds=0.0, now=clock.read, sleep=clock.sleep)
    sent: list[float] = []

    async def run() -> None:
        for count, pause in bursts:
            clock.now += pause
            await window.acquire(count)
            sent.extend([clock.now] * count)

    asyncio.run(run())
    # A hair less than the window, as the clock's own rounding is not the limiter's.
    assert most_in_any_window(sent, 1.0 - 1e-9) <= 8


async def test_after_a_start_nothing_leaves_before_the_predecessors_window_has_passed() -> None:
    clock = Clock()
    window = SlidingWindow((RateLimit(8, 1.0),), quiet_seconds=1.0, now=clock.read, sleep=clock.sleep)
    await window.acquire()
    assert clock.now == 101.0


async def test_more_at_once_than_a_window_holds_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="at most 8"):
        await SlidingWindow((RateLimit(8, 1.0),)).acquire(9)
