"""Real servers for every test that asks for them: started once per test process, each test in a corner of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias
from uuid import uuid4

import pytest
from hypothesis import settings
from pymongo import MongoClient

from adapters.embedded import EmbeddedServers
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from runtime.ports import Bus, Journal, Store

# The same examples in every run, and no time limit on one of them: machines are shared.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")

BusFactory: TypeAlias = Callable[[], Bus]
"""A new client of the same server, as a restarted process would be."""

ABANDONED_SECONDS = 0.3


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Embedded Valkey and mongod; `servers.urls`. A test that cannot have them fails."""
    with EmbeddedServers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
def kill(servers: EmbeddedServers) -> Callable[[str], None]:
    """End a server (`valkey-server` or `mongod`) with SIGKILL; it is started again by itself."""

    def kill_now(name: str) -> None:
        pid = servers.pids[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    return kill_now


@pytest.fixture
def redis_prefix() -> str:
    return f"test-{uuid4().hex}:"


@pytest.fixture
def database(servers: EmbeddedServers) -> Iterator[str]:
    """Name of a database that is gone after the test."""
    name = f"test_{uuid4().hex}"
    yield name
    with MongoClient[dict[str, object]](servers.urls.mongodb) as client:
        client.drop_database(name)


@pytest.fixture
async def redis_buses(servers: EmbeddedServers, redis_prefix: str) -> AsyncIterator[BusFactory]:
    opened: list[Bus] = []

    def connect() -> Bus:
        opened.append(RedisBus(servers.urls.redis, prefix=redis_prefix, abandoned_seconds=ABANDONED_SECONDS))
        return opened[-1]

    yield connect
    for bus in opened:
        await bus.close()


@pytest.fixture
async def mongo_journal(servers: EmbeddedServers, database: str) -> AsyncIterator[MongoJournal]:
    journal = MongoJournal(servers.urls.mongodb, database)
    await journal.prepare()
    yield journal
    await journal.close()


@pytest.fixture
async def mongo_store(servers: EmbeddedServers, database: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(servers.urls.mongodb, database)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture(params=["memory", "redis"])
def buses(request: pytest.FixtureRequest) -> BusFactory:
    if request.param == "redis":
        return request.getfixturevalue("redis_buses")
    server = MemoryServer()
    return lambda: MemoryBus(server, abandoned_seconds=ABANDONED_SECONDS)


@pytest.fixture
def bus(buses: BusFactory) -> Bus:
    return buses()


@pytest.fixture(params=["memory", "mongo"])
def journal(request: pytest.FixtureRequest) -> Journal:
    return MemoryJournal() if request.param == "memory" else request.getfixturevalue("mongo_journal")


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> Store:
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("mongo_store")
