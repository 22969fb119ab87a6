"""Group commits for 10,000 users at once on the embedded servers. Run: `python -m tests.benchmarks.storage`."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from adapters.embedded import EmbeddedServers, ServerUrls
from adapters.mongo import MongoJournal
from adapters.redis_bus import RedisBus
from tests.benchmarks.report import Figure, figure, publish
from tests.contracts.test_journal import record

USERS = 10_000
RUNS = 5
GOAL_SECONDS = {"p50": 1.0}
EVENT = '{"v":1,"event_id":"0123456789abcdef","type":"SIGNAL","user_id":"123","data":{"reason":"' + "x" * 250 + '"}}'


async def seconds(work: Callable[[int], Awaitable[object]]) -> list[float]:
    taken: list[float] = []
    for number in range(RUNS):
        begun = time.perf_counter()
        await work(number)
        taken.append(time.perf_counter() - begun)
    return taken


async def measure(urls: ServerUrls) -> list[Figure]:
    journal, bus = MongoJournal(urls.mongodb, "storage"), RedisBus(urls.redis)
    await journal.prepare()
    records = await seconds(lambda number: journal.append([record(f"u{user}", number) for user in range(USERS)]))
    events = await seconds(lambda number: bus.publish_events([(f"u{user}", number + 1, EVENT) for user in range(USERS)]))
    await journal.close()
    await bus.close()
    return [
        figure(f"{USERS:,} journal records, durable", "s", records, goal=GOAL_SECONDS),
        figure(f"{USERS:,} events, published and kept", "s", events, goal=GOAL_SECONDS),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state)) as servers:
        figures = asyncio.run(measure(servers.urls))
    publish("storage", {"users": USERS, "runs": RUNS}, figures)


if __name__ == "__main__":
    main()
