"""Servers, users' sessions and host processes of one measurement."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

from redis import Redis

from actors.bench.processes import HOST_MODULE, HostProcess, cpu_seconds, rss_kb
from actors.bench.profile import parts_of
from actors.placement import packed_host
from actors.wire import decode_latency, encode
from adapters.embedded import EmbeddedServers
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from configs.running import Running, write_running
from runtime import channels
from runtime.events import JournalRecord, StartSession
from runtime.market import IST
from runtime.session import SessionConfig

DATABASE = "bench"
OPEN = datetime(2026, 11, 20, 9, 15, tzinfo=IST)
BATCH = 2_000
POLL_SECONDS = 0.02
QUIET_SECONDS = 0.3
SETTLED_SECONDS_MAX = 120.0


class Stage:
    """`async with Stage(users, …) as stage`: servers run, every user's session is in journal and store, no host runs yet."""

    def __init__(
        self, users: int, settings: Callable[[int], SessionConfig], *, hosts: int | None = None, module: str = HOST_MODULE
    ) -> None:
        """`settings` of each user by number; `hosts`: one per core unless said otherwise; `module`: what each of them runs."""
        self.users = [f"user-{number:06d}" for number in range(users)]
        self.host_ids = [packed_host(index) for index in range(hosts or os.cpu_count() or 1)]
        self.host_of = {user: self.host_ids[number % len(self.host_ids)] for number, user in enumerate(self.users)}
        self.hosts: list[HostProcess] = []
        self._settings = settings
        self._module = module
        self._folder = tempfile.TemporaryDirectory(prefix="shoal-bench-")
        self.state = Path(self._folder.name)
        self._servers = EmbeddedServers(self.state)

    async def __aenter__(self) -> Self:
        urls = await asyncio.to_thread(self._servers.start)
        write_running(
            self.state,
            Running(redis_url=urls.redis, mongodb_url=urls.mongodb, pid=os.getpid(), state=str(self.state), started_at=datetime.now(UTC)),
        )
        self.redis = Redis.from_url(urls.redis)
        self.bus, self.store, self.journal = (
            RedisBus(urls.redis),
            MongoStore(urls.mongodb, DATABASE),
            MongoJournal(urls.mongodb, DATABASE),
        )
        await self.store.prepare()
        await self.journal.prepare()
        for start in range(0, len(self.users), BATCH):
            await self._open_sessions(range(start, min(start + BATCH, len(self.users))))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill_hosts()
        for connection in (self.bus, self.store, self.journal):
            await connection.close()
        self.redis.close()
        await asyncio.to_thread(self._servers.stop)
        self._folder.cleanup()

    async def _open_sessions(self, numbers: range) -> None:
        records, sessions = list[JournalRecord](), dict[str, dict[str, Any]]()
        for number in numbers:
            user = self.users[number]
            start = encode(StartSession(ts=OPEN, command_id="start", config=self._settings(number))).decode()
            records.append(JournalRecord(user_id=user, number=1, epoch=0, ts=OPEN, input=start))
            sessions[user] = {"active": True, "host": self.host_of[user]}
        await self.journal.append(records)
        await self.store.upsert("sessions", sessions)

    # --- hosts ---

    async def start_hosts(self, *, profiled: bool = False) -> float:
        """Seconds from the first process's start until all serve, their users restored and reconciled."""
        begun = time.perf_counter()
        self.hosts = [
            HostProcess(self.state, DATABASE, host_id, self.state / f"{host_id}.profile" if profiled else None, module=self._module)
            for host_id in self.host_ids
        ]
        await asyncio.gather(*(asyncio.to_thread(host.wait) for host in self.hosts))
        return time.perf_counter() - begun

    def profile(self) -> dict[str, float]:
        """Ends the hosts, which must have been started as `profiled`."""
        for host in self.hosts:
            host.end()
        return parts_of(self.state / f"{host_id}.profile" for host_id in self.host_ids)

    def kill_hosts(self) -> None:
        while self.hosts:
            self.hosts.pop().kill()

    def rss_kb(self) -> int:
        return sum(rss_kb(host.pid) for host in self.hosts)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far of the hosts together and of each server."""
        servers = {name: cpu_seconds(pid) for name, pid in self._servers.pids.items() if pid is not None}
        return {"hosts": sum(cpu_seconds(host.pid) for host in self.hosts), **servers}

    # --- what they say ---

    async def published(self, events: int) -> None:
        """Back when this many events are on the stream, or when nothing more has come for long."""
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while self.redis.xlen(channels.EVENTS_STREAM) < events and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(POLL_SECONDS)

    async def quiet(self) -> None:
        """Back when the hosts have nothing more to do: collections written, samples sent."""
        before = -1.0
        while (now := sum(cpu_seconds(host.pid) for host in self.hosts)) > before:
            before = now
            await asyncio.sleep(QUIET_SECONDS)

    def take_events(self) -> list[tuple[float, bytes]]:
        """(milliseconds since 1970 by the server's clock, event) of all that is on the stream, from which it is taken."""
        found: list[tuple[float, bytes]] = []
        cursor = "-"
        while page := cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(channels.EVENTS_STREAM, cursor, count=BATCH)):
            found += [(float(entry_id.partition(b"-")[0]), fields[b"event"]) for entry_id, fields in page]
            ms, _, serial = page[-1][0].decode().partition("-")
            cursor = f"{ms}-{int(serial) + 1}"
        if found:  # and no more than that: others may have come meanwhile
            self.redis.xtrim(channels.EVENTS_STREAM, minid=cursor, approximate=False)
        return found

    def drop_samples(self) -> None:
        self.redis.delete(channels.LATENCY)

    async def samples(self, kind: str, count: int) -> list[float]:
        """The next `count` milliseconds of this kind that the hosts have measured, fewer if they do not come; other kinds are dropped."""
        found: list[float] = []
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while True:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(channels.LATENCY))
            if entries:
                self.redis.xdel(channels.LATENCY, *(entry_id for entry_id, _ in entries))
            messages = [decode_latency(fields[b"m"]) for _, fields in entries]
            found += [value for message in messages if message.kind == kind for value in message.milliseconds]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)
