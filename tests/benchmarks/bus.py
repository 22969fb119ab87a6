"""What a message on the price channel costs with 18 subscriber processes. Run: `python -m tests.benchmarks.bus`.

One process publishes, each subscriber notes how old a message is on arrival and what its process has spent on reading. `burst`
publishes as fast as it can, as an accelerated replay does; `paced` one message every few milliseconds, as a live market. The
baseline is redis-py as it comes: `PubSub.get_message` in the subscribers, an awaited PUBLISH in the publisher.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from actors.wire import decode_prices, encode
from adapters.embedded import EmbeddedServers
from adapters.redis_bus import RedisBus
from runtime.market import Prices, Quote
from tests.benchmarks.report import Figure, figure, publish
from tests.builders import at, option

SUBSCRIBERS = 18
MESSAGES = {"burst": 10_000, "paced": 500}
PAUSE_SECONDS = {"burst": 0.0, "paced": 0.005}
CHANNEL = "prices"
QUOTES = tuple(Quote(option(50_000 + 100 * number).id, 430.0, 429.7, 430.3) for number in range(6))


class Reading(NamedTuple):
    """`microseconds` of processor time per message, and how many milliseconds old each was on arrival."""

    microseconds: float
    milliseconds: list[float]


class Result(NamedTuple):
    """Of all subscribers together; `publishing` in microseconds of the publisher's processor time per message.

    `seconds`: from the first message to the last subscriber's last.
    """

    readings: list[Reading]
    publishing: float
    seconds: float

    @property
    def reading(self) -> list[float]:
        return [reading.microseconds for reading in self.readings]

    @property
    def ages(self) -> list[float]:
        return [age for reading in self.readings for age in reading.milliseconds]


async def ours(url: str, ready: Connection) -> AsyncIterator[bytes]:
    async with RedisBus(url).subscribe(CHANNEL) as subscription:
        ready.send(None)
        async for _, payload in subscription:
            yield payload


async def as_it_comes(url: str, ready: Connection) -> AsyncIterator[bytes]:
    pubsub: Any = Redis.from_url(url).pubsub()
    await pubsub.subscribe(CHANNEL)
    await pubsub.get_message(timeout=None)
    ready.send(None)
    while True:
        message = await pubsub.get_message(timeout=None)
        yield message["data"]


READERS = {"ours": ours, "redis-py": as_it_comes}


async def read(url: str, reader: str, count: int, ready: Connection) -> Reading:
    """`Prices.seq` carries the moment of publishing, in nanoseconds."""
    milliseconds: list[float] = []
    begun = time.process_time()
    async for payload in READERS[reader](url, ready):
        prices = decode_prices(payload)
        milliseconds.append((time.time_ns() - prices.seq) / 1e6)
        if len(milliseconds) == count:
            break
    return Reading(1e6 * (time.process_time() - begun) / count, milliseconds)


def subscribe(url: str, reader: str, count: int, pipe: Connection) -> None:
    pipe.send(asyncio.run(read(url, reader, count, pipe)))


async def send(url: str, reader: str, mode: str) -> float:
    """Microseconds of processor time per message."""
    bus, plain = RedisBus(url), Redis.from_url(url)
    begun = time.process_time()
    for _ in range(MESSAGES[mode]):
        payload = encode(Prices(seq=time.time_ns(), ts=at("10:00"), quotes=QUOTES))
        if reader == "ours":
            await bus.publish(CHANNEL, payload)
        else:
            await plain.publish(CHANNEL, payload)
        await asyncio.sleep(PAUSE_SECONDS[mode])
    await bus.close()
    await plain.aclose()
    return 1e6 * (time.process_time() - begun) / MESSAGES[mode]


def measure(url: str, reader: str, mode: str) -> Result:
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(SUBSCRIBERS)]
    processes = [context.Process(target=subscribe, args=(url, reader, MESSAGES[mode], theirs)) for _, theirs in pipes]
    for process in processes:
        process.start()
    for pipe, _ in pipes:
        pipe.recv()
    begun = time.perf_counter()
    publishing = asyncio.run(send(url, reader, mode))
    readings = [pipe.recv() for pipe, _ in pipes]
    seconds = time.perf_counter() - begun
    for process in processes:
        process.join()
    return Result(readings, publishing, seconds)


def figures(url: str, mode: str) -> list[Figure]:
    results = {reader: measure(url, reader, mode) for reader in READERS}
    mine, base = results["ours"], results["redis-py"]
    found = [
        figure(f"{mode}: reading, processor time a message", "µs", mine.reading, baseline=("redis-py", base.reading)),
        figure(f"{mode}: publishing, processor time a message", "µs", [mine.publishing], baseline=("redis-py", [base.publishing])),
    ]
    if PAUSE_SECONDS[mode]:
        return [*found, figure(f"{mode}: publish to receive", "ms", mine.ages, baseline=("redis-py", base.ages))]
    return [*found, figure(f"{mode}: until all have heard all", "s", [mine.seconds], baseline=("redis-py", [base.seconds]))]


def main() -> None:
    with tempfile.TemporaryDirectory() as state, EmbeddedServers(Path(state), mongodb_url="mongodb://not-needed") as servers:
        found = [each for mode in MESSAGES for each in figures(servers.urls.redis, mode)]
    publish("bus", {"subscriber_processes": SUBSCRIBERS, "messages": MESSAGES, "quotes_per_message": len(QUOTES)}, found)


if __name__ == "__main__":
    main()
