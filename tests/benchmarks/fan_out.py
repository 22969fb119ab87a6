"""One signal for thousands of users of one process: until the last order is decided, journaled and submitted.

Run: `python -m tests.benchmarks.fan_out`. The traders stand flat on a trading floor over a real mongod; each decides for
itself, all records of a round are one group commit. The position is closed again before the next signal.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from actors.desk import PaperDesk
from actors.outbox import Outbox
from actors.trading_floor import Stopwatch, TradingFloor
from actors.user_trader import UserTrader
from actors.wire import encode
from adapters.clock import WallClock
from adapters.embedded import EmbeddedServers, ServerUrls
from adapters.memory import MemoryBus, MemoryJournal, MemoryStore
from adapters.mongo import MongoJournal
from runtime.events import SignalArrived, StartSession
from runtime.market import Prices, Quote
from runtime.signals import Side
from runtime.state import EngineState
from tests.benchmarks.latency import ALWAYS_OPEN
from tests.benchmarks.report import Figure, figure, publish
from tests.builders import at, option, signal

GOAL_SECONDS = {1_000: 0.2, 10_000: 1.5}
SIGNALS = 10


class ListeningOutbox(Outbox):
    """Notes when each entry is submitted. Never run: what is published is not part of this figure."""

    def __init__(self) -> None:
        super().__init__(MemoryBus(), MemoryStore(), WallClock(), MemoryJournal())
        self.submitted_at: list[float] = []

    def measure_fill_of(self, order_id: str, candle_closed_at_ns: int) -> None:
        del order_id, candle_closed_at_ns
        self.submitted_at.append(time.perf_counter())


class Crowd:
    """Users who all follow one strategy."""

    def __init__(self, users: int, journal: MongoJournal) -> None:
        self.outbox = ListeningOutbox()
        self.floor = TradingFloor(journal=journal, outbox=self.outbox, desk=PaperDesk())
        self._now = at("09:30")
        for number in range(users):
            user = f"crowd-{users}-{number}"
            trader = UserTrader(user, state=EngineState(user_id=user), number=0, epoch=1)
            trader.take(StartSession(ts=at("09:15"), command_id="c", config=ALWAYS_OPEN))
            self.floor.admit(trader)

    async def follow(self, side: Side) -> tuple[Sequence[float], float]:
        """Seconds from the signal's arrival to each user's entry order, and until all is settled."""
        self._now += timedelta(seconds=2)
        self.outbox.submitted_at.clear()
        await self.floor.on_prices(Prices(seq=1, ts=self._now, quotes=(Quote(option().id, 100.0, 99.95, 100.05),)))
        event = SignalArrived(ts=self._now, signal=signal(side, ts=self._now, stop=None, target=None))
        begun = time.perf_counter()
        waiting = [(user_id, event) for user_id in self.floor.traders]
        await self.floor.run(waiting, Stopwatch(candle_closed_at_ns=1), encoded=encode(event).decode())
        settled = time.perf_counter() - begun
        return [moment - begun for moment in self.outbox.submitted_at], settled


async def measure(urls: ServerUrls, users: int) -> list[Figure]:
    journal = MongoJournal(urls.mongodb, f"fan_out_{users}")
    await journal.prepare()
    crowd = Crowd(users, journal)
    last: list[float] = []
    settled: list[float] = []
    for number in range(1 + SIGNALS):
        orders, seconds = await crowd.follow(Side.LONG)
        assert len(orders) == users
        await crowd.follow(Side.FLAT)
        if number:  # the first warms up
            last.append(orders[-1])
            settled.append(seconds)
    await journal.close()
    return [
        figure(f"a signal to the last of {users:,} orders, journaled", "s", last, goal={"p50": GOAL_SECONDS[users]}),
        figure(f"a signal until {users:,} fills are journaled", "s", settled),
    ]


async def measure_all(urls: ServerUrls) -> list[Figure]:
    return [each for users in GOAL_SECONDS for each in await measure(urls, users)]


def main() -> None:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state), redis_url="redis://not-needed") as servers:
        figures = asyncio.run(measure_all(servers.urls))
    publish("fan_out", {"users": list(GOAL_SECONDS), "signals": SIGNALS}, figures)


if __name__ == "__main__":
    main()
