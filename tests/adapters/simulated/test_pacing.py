from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from adapters.simulated import FreePacer, ScaledPacer
from runtime.errors import InvalidConfig

T0 = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
WALL = datetime(2030, 1, 1, tzinfo=UTC)


class VirtualClock:
    """Sleeping moves it; `late` seconds pass besides at every sleep."""

    def __init__(self, late: float = 0.0) -> None:
        self.time = WALL
        self.late = late
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds + self.late)


async def test_venue_time_runs_at_the_given_speed_from_the_first_batch() -> None:
    clock = VirtualClock()
    pacer = ScaledPacer(clock, speed=60)
    for minute in range(4):
        await pacer.wait_until(T0 + timedelta(minutes=minute))
    assert clock.slept == [0.0, 1.0, 1.0, 1.0]


async def test_lost_time_is_made_up_for() -> None:
    clock = VirtualClock(late=0.25)
    pacer = ScaledPacer(clock, speed=1)
    for second in range(5):
        await pacer.wait_until(T0 + timedelta(seconds=second))
    assert clock.slept == [0.0, 0.75, 0.75, 0.75, 0.75]


async def test_nobody_waits_for_the_night_to_pass() -> None:
    clock = VirtualClock()
    pacer = ScaledPacer(clock, speed=1)
    await pacer.wait_until(T0)
    await pacer.wait_until(T0 + timedelta(hours=18))
    await pacer.wait_until(T0 + timedelta(hours=18, seconds=2))
    assert clock.slept == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_speed_must_be_positive(speed: float) -> None:
    with pytest.raises(InvalidConfig, match="speed"):
        ScaledPacer(VirtualClock(), speed=speed)


async def test_a_free_pacer_lets_others_run() -> None:
    ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(ran.set)
    pacer = FreePacer()
    for _ in range(100):
        await pacer.wait_until(T0)
    assert ran.is_set()
