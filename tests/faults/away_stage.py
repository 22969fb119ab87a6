"""A trader host in a process of its own, on servers that a test may kill, hold and cut off; the test is the market around it."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO

import msgspec
import psutil

from actors.order_ledger import Accepted, read_ledger
from actors.services import LOCAL_LOGS
from actors.wire import ForUser, SignalMessage, encode
from adapters.embedded.process import ServerProcess
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from runtime import channels
from runtime.events import EngineInput, EventType, JournalRecord, PublicEvent, StartSession
from runtime.market import Prices, Quote
from runtime.orders import Leg
from runtime.session import Protection, RiskLimits, SessionConfig
from runtime.signals import Side
from tests.builders import PLAIN, at, config, option, signal

USER, HOST = "u1", "packed-0"
HIGH, LOW = 100.0, 70.0
"""Of the option bought at 100 with its stop at 80."""
SECONDS_MAX = 45.0
_decode_event = msgspec.json.Decoder(PublicEvent).decode


def settings(protection: Protection = PLAIN) -> SessionConfig:
    return config(protection=protection, risk=RiskLimits(max_daily_loss=None))


class HostProcess:
    """One process of the host, on a machine of its own: `folder` holds its local logs and its desk's ledger."""

    def __init__(self, folder: Path, *, redis_url: str, mongodb_url: str, name: str = HOST) -> None:
        self.folder = folder
        self.told: list[str] = []
        """What it has logged."""
        command = [sys.executable, "-m", "tests.faults.host_process", str(folder), name]
        environment = os.environ | {"REDIS_URL": redis_url, "MONGODB_URL": mongodb_url}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        # By a pipe, since the size of its files may be limited.
        self._listener = threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True)
        self._listener.start()

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            self.told += lines

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def limit_files(self, bytes_max: int) -> None:
        """No file of it grows beyond this: its disk is full."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()

    def sent(self, leg: Leg | None = None) -> list[Accepted]:
        """The desk's own ledger, which is no journal."""
        return [line for line in read_ledger(self.folder / "ledger") if leg is None or line.leg == leg]

    def logs(self) -> list[Path]:
        return sorted((self.folder / LOCAL_LOGS).glob("*"))


class AwayStage:
    """`valkey` and `mongod` are processes of the test; `redis_url` and `mongodb_url`, where the host looks for them, may be others."""

    def __init__(
        self, state: Path, *, valkey: ServerProcess, mongod: ServerProcess, redis_url: str | None = None, mongodb_url: str | None = None
    ) -> None:
        self.state, self.valkey, self.mongod = state, valkey, mongod
        self._redis_url, self._mongodb_url = redis_url or valkey.url, mongodb_url or mongod.url
        self.bus = RedisBus(valkey.url, patience_seconds=SECONDS_MAX)
        self.store, self.journal = MongoStore(mongod.url), MongoJournal(mongod.url)
        self._hosts: list[HostProcess] = []
        self._seq, self._signals_id, self._opened = 0, "0", 0
        self._now = at("10:00")
        self._open_at: float | None = None

    # --- processes ---

    async def prepare(self) -> None:
        """Servers with collections, a market with a price, and a host."""
        await self.store.prepare()
        await self.journal.prepare()
        await self.price(HIGH)
        self.start_host()

    def open_market(self) -> None:
        """From here on venue time goes with ours."""
        self._open_at = asyncio.get_running_loop().time()

    async def home(self) -> str:
        session = await self.store.get("sessions", USER)
        assert session is not None
        return str(session["host"])

    async def begin(self, protection: Protection = PLAIN) -> None:
        """A host that runs, with one user who holds one position."""
        await self.prepare()
        await self.store.upsert("sessions", {USER: {"active": True, "host": HOST}})
        await self.command(StartSession(ts=self._now, command_id="start", config=settings(protection)))
        await self.hears(EventType.SESSION_STARTED)
        self.open_market()
        await self.enter()
        await self.hears(EventType.POSITION_OPENED)

    def start_host(self) -> HostProcess:
        """The host, or after its death its successor on the same machine."""
        self._hosts.append(HostProcess(self.state / "machine", redis_url=self._redis_url, mongodb_url=self._mongodb_url))
        return self._hosts[-1]

    def start_elsewhere(self) -> HostProcess:
        """The host as its cluster starts it on another machine, whose network is whole."""
        self._hosts.append(HostProcess(self.state / "elsewhere", redis_url=self.valkey.url, mongodb_url=self.mongod.url))
        return self._hosts[-1]

    def start_beside(self, name: str) -> HostProcess:
        """Another host."""
        folder = self.state / name
        self._hosts.append(HostProcess(folder, redis_url=self.valkey.url, mongodb_url=self.mongod.url, name=name))
        return self._hosts[-1]

    @property
    def host(self) -> HostProcess:
        return self._hosts[0]

    def kill(self, server: ServerProcess) -> None:
        assert server.pid is not None
        psutil.Process(server.pid).kill()
        while server.pid is not None:
            pass

    async def restart(self, server: ServerProcess, *, price: float | None = None) -> None:
        """With `price` the market goes on at it meanwhile."""
        restarting = asyncio.create_task(asyncio.to_thread(server.restart))
        while not restarting.done():
            if price is not None:
                await self.price(price)
            await asyncio.wait({restarting}, timeout=0.5)
        await restarting

    async def close(self) -> None:
        for host in self._hosts:
            host.kill()
        await self.bus.close()
        await self.store.close()
        await self.journal.close()

    # --- the market ---

    async def price(self, price: float) -> None:
        self._seq += 1
        if self._open_at is not None:
            self._now = at("10:00") + timedelta(seconds=asyncio.get_running_loop().time() - self._open_at)
        quote = Quote(option().id, price, price - 0.05, price)
        message = Prices(seq=self._seq, ts=self._now, quotes=(quote,), signals_id=self._signals_id)
        await self.bus.set_key(channels.PRICES_LATEST, encode(message))
        await self.bus.publish(channels.PRICES, encode(message))

    async def enter(self, side: Side = Side.LONG) -> None:
        self._opened += 1
        what = signal(side, ts=self._now + timedelta(milliseconds=self._opened), signal_id=f"s{self._opened}")
        self._signals_id = await self.bus.append(channels.SIGNALS, encode(SignalMessage(signal=what, closed_at_ns=0)), max_length=100)
        await self.price(HIGH)

    async def command(self, event: EngineInput) -> None:
        await self.bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=USER, input=event)), max_length=1_000)

    # --- what is known ---

    async def events(self) -> list[PublicEvent]:
        return [_decode_event(payload) for _, payload in await self.bus.read(channels.EVENTS_STREAM, "0", count=10_000)]

    async def of(self, event_type: EventType, **data: object) -> list[PublicEvent]:
        return [event for event in await self.events() if event.type is event_type and all(event.data[name] == data[name] for name in data)]

    async def hears(self, event_type: EventType, *, times: int = 1, price: float | None = None, **data: object) -> None:
        """Wait until the user has heard this so often; with `price` the market goes on at it meanwhile."""

        async def heard() -> bool:
            if price is not None:
                await self.price(price)
            return len(await self.of(event_type, **data)) >= times

        await self.until(heard, f"{times} {event_type} {data}")

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while not await holds():  # noqa: ASYNC110 - other processes make it hold
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}: {[line for host in self._hosts for line in host.told[-9:]]}") from None

    def sent(self, leg: Leg | None = None) -> list[Accepted]:
        """By all desks together."""
        folders = dict.fromkeys(host.folder for host in self._hosts)
        return [line for folder in folders for line in read_ledger(folder / "ledger") if leg is None or line.leg == leg]

    async def journaled(self) -> list[JournalRecord]:
        return [record async for record in self.journal.read(USER)]

    async def _all_is_heard(self) -> bool:
        texts = [text for record in await self.journaled() for text in record.events]
        return texts == [encode(event).decode() for event in await self.events()]

    async def books_agree(self) -> None:
        """No number and no seq is missing, every event that was heard is journaled and no other, no order was sent twice."""
        await self.until(self._all_is_heard, "the events to be those of the journal")
        records, heard = await self.journaled(), await self.events()
        assert [record.number for record in records] == list(range(1, len(records) + 1))
        assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
        ids = [line.order_id for line in self.sent()]
        assert len(ids) == len(set(ids)), ids
        submitted = {str(event.data["order_id"]) for event in heard if event.type is EventType.ORDER_SUBMITTED}
        assert set(ids) <= submitted


def reasons(events: Sequence[PublicEvent]) -> list[object]:
    return [event.data["reason"] for event in events]
