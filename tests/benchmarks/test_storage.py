"""Boot, journal and event publishing on the embedded servers. `make bench` prints the figures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from adapters.embedded import EmbeddedServers
from adapters.mongo import MongoJournal
from tests.conftest import BusFactory
from tests.contracts.test_journal import record

pytestmark = pytest.mark.slow

USERS = 10_000
EVENT = '{"v":1,"event_id":"0123456789abcdef","type":"SIGNAL","user_id":"123","data":{"reason":"' + "x" * 250 + '"}}'


async def best_of(count: int, measured: Callable[[int], Awaitable[object]]) -> float:
    """Seconds of the fastest of `count` runs, each told its number."""
    seconds: list[float] = []
    for number in range(count):
        begun = time.perf_counter()
        await measured(number)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


async def test_one_journal_record_for_each_of_10_000_users(mongo_journal: MongoJournal) -> None:
    seconds = await best_of(3, lambda number: mongo_journal.append([record(f"u{user}", number) for user in range(USERS)]))
    print(f"\n10,000 journal records, durable: {seconds:.3f} s")
    assert seconds < 1


async def test_one_event_for_each_of_10_000_users(redis_buses: BusFactory) -> None:
    bus = redis_buses()
    seconds = await best_of(3, lambda number: bus.publish_events([(f"u{user}", number + 1, EVENT) for user in range(USERS)]))
    print(f"\n10,000 events published and kept: {seconds:.3f} s")
    assert seconds < 1


def test_both_servers_boot(tmp_path: Path) -> None:
    for state in ("first boot", "boot with data"):
        begun = time.perf_counter()
        with EmbeddedServers(tmp_path):
            seconds = time.perf_counter() - begun
        print(f"\nValkey and mongod, {state}: {seconds:.2f} s")
        assert seconds < 3
