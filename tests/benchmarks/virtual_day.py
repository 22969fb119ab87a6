"""A trading day of many users in one process and virtual time. Run: `python -m tests.benchmarks.virtual_day`.

The same actors as a cluster's over adapters in memory: 375 minutes of ticks to candles to signals, every user's orders, fills,
journal and events. Nothing waits, so processor time is what a quiet machine's wall clock shows.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime
from datetime import time as clock_time

from actors.day import Day
from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.events import PublicEvent
from runtime.market import IST
from tests.benchmarks.report import figure, publish

USERS = 50
RUNS = 3
SECONDS_PER_TICK = 5
SESSION = date(2026, 11, 20)
GOAL_SECONDS = {"p50": 1.0}


async def play() -> Sequence[PublicEvent]:
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), ticks_per_second=1, seconds_per_tick=SECONDS_PER_TICK))
    async with LocalSystem(market, VirtualClock(datetime.combine(SESSION, clock_time(9, 14), IST))) as system:
        for number in range(USERS):
            await system.send("START_TRADING", f"user-{number}", {"capital": 300_000 + 100_000 * (number % 8)})
        await system.settle()
        await system.play()
        return await system.events()


def main() -> None:
    seconds: list[float] = []
    day = Day()
    for _ in range(RUNS):
        begun = time.process_time()
        events = run_virtual(play())
        seconds.append(time.process_time() - begun)
        day = Day()
        day.take(events)
    assert day.duplicate_orders == day.seq_gaps == 0
    sizes = {"users": USERS, "minutes": 375, "seconds_per_tick": SECONDS_PER_TICK, "events": day.events, "orders": len(day.order_ids)}
    publish("virtual_day", sizes, [figure(f"day of {USERS} users in one process, processor time", "s", seconds, goal=GOAL_SECONDS)])


if __name__ == "__main__":
    main()
