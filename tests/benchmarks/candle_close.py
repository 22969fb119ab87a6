"""From a candle's close to its signals on the stream to all hosts. Run: `python -m tests.benchmarks.candle_close`.

The market-data actor in this process over a real Valkey and a real mongod, a simulated venue that plays a day at 600 times its
speed. The clock starts when the feed hands over the batch that ends a minute, and stops when an outside reader of the signals
stream has the signal: by then the decision is durable. Each strategy decides on every candle.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from actors.bench.market import STRATEGY, UNDERLYING, Alternating
from actors.market_data import MarketData
from actors.wire import SetStrategies, decode_signal, encode
from adapters.clock import WallClock
from adapters.embedded import EmbeddedServers, ServerUrls
from adapters.mongo import MongoStore
from adapters.redis_bus import RedisBus
from adapters.simulated import ScaledPacer, SimulatedFeed, SimulatedInstrumentMaster, SimulatedMarket, SimulatedVenue, simulation
from runtime import channels
from runtime.market import FeedClock, FeedEvent, Timeframe
from runtime.signal_engine import SignalEngine, StrategySpec
from runtime.strategy import ParameterValue
from tests.benchmarks.report import Figure, figure, publish

SESSION = date(2026, 11, 20)
SPEED = 600.0
STRATEGIES = (1, 20)
WARM_UP = 10
GOAL_MS = {"p99": 50.0}
READ_SECONDS_MAX = 5.0


class NotedFeed(SimulatedFeed):
    """Remembers when it handed over the batch that ends at each venue time."""

    def __init__(self, venue: SimulatedVenue, pacer: ScaledPacer) -> None:
        super().__init__(venue, pacer)
        self.handed_over: dict[datetime, float] = {}

    async def stream(self) -> AsyncIterator[Sequence[FeedEvent]]:
        async for batch in super().stream():
            for event in batch:
                if isinstance(event, FeedClock):
                    self.handed_over[event.ts] = time.perf_counter()
            yield batch


@dataclass(frozen=True)
class Heard:
    candle_closed_at: datetime
    milliseconds: float


def create(name: str, parameters: Mapping[str, ParameterValue]) -> Alternating:
    del name, parameters
    return Alternating()


async def listen(bus: RedisBus, feed: NotedFeed, heard: list[Heard]) -> None:
    cursor = "0"
    while True:
        for entry_id, payload in await bus.read(channels.SIGNALS, cursor, block_seconds=READ_SECONDS_MAX):
            arrived, cursor = time.perf_counter(), entry_id
            closed_at = decode_signal(payload).signal.candle_time + Timeframe.M1.duration
            heard.append(Heard(closed_at, 1000 * (arrived - feed.handed_over[closed_at])))


async def a_day(urls: ServerUrls, strategies: int) -> list[float]:
    """Milliseconds of each candle until the last strategy's signal is out."""
    store = MongoStore(urls.mongodb, f"candle_close_{strategies}")
    bus, outside = RedisBus(urls.redis, prefix=f"{strategies}:"), RedisBus(urls.redis, prefix=f"{strategies}:")
    await store.prepare()
    venue = SimulatedVenue(SimulatedMarket(simulation(UNDERLYING.id, sessions=(SESSION,), seed=7, ticks_per_second=1)))
    clock = WallClock()
    feed = NotedFeed(venue, ScaledPacer(clock, SPEED))
    market = MarketData(
        bus=bus,
        store=store,
        clock=clock,
        feed=feed,
        master=SimulatedInstrumentMaster(venue),
        calendar_of=venue.calendar_of,
        signals=SignalEngine(create),
        underlyings=(UNDERLYING.id,),
        starts_at=feed.now(),
        wait_for_begin=False,
    )
    specs = [StrategySpec(strategy=STRATEGY, parameters={"number": number}, instrument=UNDERLYING.id) for number in range(strategies)]
    await bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=tuple(specs))), max_length=10)
    heard: list[Heard] = []
    listening = asyncio.create_task(listen(outside, feed, heard))
    await market.run()
    listening.cancel()
    for connection in (bus, outside, store):
        await connection.close()
    last: dict[datetime, float] = {}
    for each in heard:
        last[each.candle_closed_at] = max(each.milliseconds, last.get(each.candle_closed_at, 0.0))
    return [last[closed_at] for closed_at in sorted(last)][WARM_UP:]


async def measure(urls: ServerUrls) -> list[Figure]:
    return [
        figure(
            f"candle's close to its last signal on the stream, {count} {'strategy' if count == 1 else 'strategies'}",
            "ms",
            await a_day(urls, count),
            goal=GOAL_MS,
        )
        for count in STRATEGIES
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state)) as servers:
        figures = asyncio.run(measure(servers.urls))
    publish("candle_close", {"speed": SPEED, "strategies": list(STRATEGIES)}, figures)


if __name__ == "__main__":
    main()
