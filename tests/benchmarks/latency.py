"""From a signal to the paper fill, everything persisted and published. Run: `python -m tests.benchmarks.latency`.

A trader host in this process works over a real Valkey and a real mongod. Each signal goes the way the market-data actor sends
it: kept in the store, appended to the stream, announced on the price channel. The clock starts before the first of these and
stops when an outside subscriber hears POSITION_OPENED: by then signal, order and fill are in the journal on disk. The position is
closed again before the next signal. One signal at a time: this is latency, not throughput.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from actors.trader_host import TraderHost
from actors.wire import ForUser, SignalMessage, encode
from adapters.clock import WallClock
from adapters.embedded import EmbeddedServers, ServerUrls
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from runtime import channels
from runtime.events import JournalRecord, PublicEvent, StartSession
from runtime.market import Prices, Quote
from runtime.session import Protection, RiskLimits
from runtime.signals import Side
from tests.benchmarks.report import Figure, figure, publish
from tests.builders import at, config, option, signal

SIGNALS = {1: 500, 25: 100}
"""Users -> signals."""
WARM_UP = 20
GOAL_MS = {"p99": 50.0}
HOST = "packed-0"
ALWAYS_OPEN = config(
    protection=Protection(square_off=None), risk=RiskLimits(max_daily_loss=None, max_orders_per_day=1_000_000), capital=10_000_000
)

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Market:
    """What the market-data actor does when a strategy decides, over connections of its own."""

    def __init__(self, urls: ServerUrls, database: str) -> None:
        self.bus, self.store = RedisBus(urls.redis), MongoStore(urls.mongodb, database)
        self._now = at("09:30")
        self._seq = 0
        self._signals_id = "0"

    async def send(self, side: Side) -> None:
        self._now += timedelta(seconds=2)
        message = SignalMessage(signal=signal(side, ts=self._now, stop=None, target=None), closed_at_ns=0)
        document: dict[str, Any] = msgspec.to_builtins(message.signal, builtin_types=(datetime,))
        await self.store.insert_once("signals", message.signal.signal_id, document)
        self._signals_id = await self.bus.append(channels.SIGNALS, encode(message), max_length=100_000)
        await self.quote()

    async def quote(self) -> None:
        self._seq += 1
        quote = Quote(option().id, 100.0, 99.95, 100.05)
        prices = Prices(seq=self._seq, ts=self._now, quotes=(quote,), signals_id=self._signals_id)
        await self.bus.publish(channels.PRICES, encode(prices))

    async def close(self) -> None:
        await self.bus.close()
        await self.store.close()


@asynccontextmanager
async def running_host(urls: ServerUrls, database: str) -> AsyncIterator[TraderHost]:
    bus, store, journal = RedisBus(urls.redis), MongoStore(urls.mongodb, database), MongoJournal(urls.mongodb, database)
    await journal.prepare()
    await store.prepare()
    host = TraderHost(HOST, bus=bus, journal=journal, store=store, clock=WallClock())
    task = asyncio.create_task(host.run())
    await host.ready.wait()
    yield host
    task.cancel()
    await asyncio.wait([task])
    for connection in (bus, store, journal):
        await connection.close()


async def heard(events: AsyncIterator[tuple[str, bytes]], kind: str, users: int) -> list[float]:
    """Moments at which `users` events of this kind arrived."""
    moments: list[float] = []
    while len(moments) < users:
        _, payload = await anext(events)
        if _decode_event(payload).type == kind:
            moments.append(time.perf_counter())
    return moments


async def signals_to_fills(urls: ServerUrls, users: int, count: int) -> list[float]:
    """Milliseconds from each signal to each user's fill."""
    database = f"latency_{users}"
    market = Market(urls, database)
    milliseconds: list[float] = []
    async with running_host(urls, database) as host, market.bus.subscribe(channels.EVENTS) as subscription:
        events = aiter(subscription)
        for number in range(users):
            user = f"user-{users}-{number}"
            start = ForUser(user_id=user, input=StartSession(ts=at("09:15"), command_id=user, config=ALWAYS_OPEN))
            await market.bus.append(channels.host_inbox(HOST), encode(start), max_length=100_000)
        await heard(events, "SESSION_STARTED", users)
        await market.quote()
        for number in range(WARM_UP + count):
            begun = time.perf_counter()
            await market.send(Side.LONG)
            moments = await heard(events, "POSITION_OPENED", users)
            if number >= WARM_UP:
                milliseconds += [1000 * (moment - begun) for moment in moments]
            await host.outbox.drained()
            await market.send(Side.FLAT)
            await heard(events, "POSITION_CLOSED", users)
            await host.outbox.drained()
    await market.close()
    return milliseconds


async def least_possible(urls: ServerUrls, count: int) -> list[float]:
    """Milliseconds of what cannot be left out: three durable writes (signal, order, fill), and one message over the bus."""
    journal, bus = MongoJournal(urls.mongodb, "least"), RedisBus(urls.redis)
    await journal.prepare()
    milliseconds: list[float] = []
    async with bus.subscribe("least") as subscription:
        messages = aiter(subscription)
        for number in range(count):
            begun = time.perf_counter()
            for step in range(3):
                record = JournalRecord(
                    user_id="u", number=3 * number + step + 1, epoch=1, ts=at("09:30"), input="{}", events=("{}",), last_seq=number + 1
                )
                await journal.append([record])
            await bus.publish("least", b"{}")
            await anext(messages)
            milliseconds.append(1000 * (time.perf_counter() - begun))
    await journal.close()
    await bus.close()
    return milliseconds


async def measure(urls: ServerUrls) -> list[Figure]:
    least = await least_possible(urls, 200)
    return [
        figure(
            f"signal to paper fill, {users} {'user' if users == 1 else 'users of one host'}",
            "ms",
            await signals_to_fills(urls, users, count),
            goal=GOAL_MS if users == 1 else None,
            baseline=("three durable writes and one message", least),
        )
        for users, count in SIGNALS.items()
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state)) as servers:
        figures = asyncio.run(measure(servers.urls))
    publish("latency", {"signals_by_users": {str(users): count for users, count in SIGNALS.items()}}, figures)


if __name__ == "__main__":
    main()
