"""Events on their way out: published to Redis in order, and projected into readable collections, behind the trading."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
from loguru import logger

from actors.projection import ORDER_IDS, project
from actors.wire import LatencySamples, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import JournalRecord, PublicEvent
from runtime.ports import Bus, Clock, Journal, Store

BATCH = 2_000
USERS_PROJECTED_AT_ONCE = 200
WAITING_MAX = 200_000
"""Events that wait in memory to be published, or to be projected; beyond, they are read from the journal again when there is room."""
RETRY_SECONDS = 0.25
LATENCY_MESSAGES_KEPT = 100_000
SAMPLES_PER_MESSAGE = 10_000
MEASURED_MAX = 200_000
"""Orders whose fill is awaited for measurement, and measurements that wait to be sent: what comes beyond is not measured."""

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class _FillData(msgspec.Struct):
    order_id: str


class _Fill(msgspec.Struct):
    """What is read of an ORDER_FILLED event to measure it."""

    data: _FillData


_decode_fill = msgspec.json.Decoder(_Fill).decode


class Outbox:
    """Never blocks a trade: while Redis or the store is away events wait here, and the journal holds them anyway."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, journal: Journal) -> None:
        self._bus, self._store, self._clock, self._journal = bus, store, clock, journal
        self._to_publish: deque[tuple[str, int, str]] = deque()
        self._to_project: dict[str, list[str]] = {}
        self._projecting = 0
        self._unpublished = _Overflow()
        self._unprojected = _Overflow()
        self._flushed: dict[str, int] = {}
        """Up to which seq users were projected out of turn."""
        self._samples: dict[str, list[float]] = {}
        self._holds = 0
        self._free = asyncio.Event()
        self._free.set()
        self._news = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._candle_closed_at_ns: dict[str, int] = {}

    def put(self, user_id: str, seq: int, event: str) -> None:
        if user_id in self._unpublished.users or len(self._to_publish) >= WAITING_MAX:
            self._unpublished.add(user_id)
        else:
            self._to_publish.append((user_id, seq, event))
        self._wake()

    @contextmanager
    def held(self) -> Generator[None]:
        """Nothing more is sent meanwhile: the processor is wanted for decisions."""
        self._holds += 1
        self._free.clear()
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._free.set()

    async def resume(self, records: Mapping[str, Sequence[JournalRecord]]) -> None:
        """What an earlier incarnation journaled, but did not live to publish or to project, is got out now, in order."""
        published = await self._bus.published_seqs(list(records))
        projected = await self._projected_seqs(list(records))
        for user_id, seq, text in _numbered(records):
            if seq > published[user_id]:
                self._to_publish.append((user_id, seq, text))
            elif seq > projected.get(user_id, 0):
                self._keep_to_project(user_id, text)
        self._wake()

    def measure_fill_of(self, order_id: str, candle_closed_at_ns: int) -> None:
        """When this entry is filled and the event is out, record the time since its candle's close."""
        if len(self._candle_closed_at_ns) < MEASURED_MAX:
            self._candle_closed_at_ns[order_id] = candle_closed_at_ns

    def sample(self, kind: str, milliseconds: float) -> None:
        samples = self._samples.setdefault(kind, [])
        if len(samples) < MEASURED_MAX:
            samples.append(milliseconds)

    @property
    def is_drained(self) -> bool:
        return self._drained.is_set()

    async def drained(self) -> None:
        await self._drained.wait()

    async def flush(self, user_id: str) -> None:
        """Back when everything this user has said is published and projected; what waits of others is passed over.

        It stays in the queues, and is passed over there when its turn comes.
        """
        while not self._drained.is_set():
            if user_id in self._unpublished.users or user_id in self._unprojected.users:
                await self._drained.wait()
                return
            events = [event for event in self._to_publish if event[0] == user_id]
            texts = self._to_project.get(user_id, []) + [text for _, _, text in events]
            try:
                await self._bus.publish_events(events)
                projected = [_decode_event(text) for text in texts]
                await self._project(projected)
                self._flushed.update({event.user_id: event.seq for event in projected})
            except ServerUnavailable as error:
                logger.warning("user {} waits until his events are out: {}", user_id, error)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                return

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._to_publish or self._to_project or self._unpublished.users or self._unprojected.users:
                await self._free.wait()
                await self._step()
            self._flushed.clear()
            self._drained.set()

    async def _step(self) -> None:
        """Publishing comes first, projecting when nothing waits to be published."""
        try:
            if self._to_publish:
                await self._publish_batch()
            elif self._unpublished.users:
                await self._catch_up_publishing()
            elif self._to_project:
                await self._publishing_meanwhile(self._project_batch())
            else:
                await self._publishing_meanwhile(self._catch_up_projecting())
        except ServerUnavailable as error:
            logger.warning("{} events wait to be published, {} to be projected: {}", len(self._to_publish), self._projecting, error)
            await self._clock.sleep(RETRY_SECONDS)

    async def _publishing_meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        """A store that does not answer holds up no event."""
        projecting = asyncio.create_task(work)
        try:
            while not projecting.done():
                self._news.clear()
                news = asyncio.create_task(self._news.wait())
                await asyncio.wait((projecting, news), return_when=asyncio.FIRST_COMPLETED)
                news.cancel()
                if self._to_publish and not projecting.done():
                    await self._free.wait()
                    await self._publish_batch()
            await projecting
        finally:
            projecting.cancel()

    async def _publish_batch(self) -> None:
        batch = list(islice(self._to_publish, BATCH))
        await self._bus.publish_events(batch)
        for user_id, _, text in batch:
            self._to_publish.popleft()
            self._keep_to_project(user_id, text)
        self._measure(batch)

    def _keep_to_project(self, user_id: str, text: str) -> None:
        if user_id in self._unprojected.users or self._projecting >= WAITING_MAX:
            self._unprojected.add(user_id)
        else:
            self._to_project.setdefault(user_id, []).append(text)
            self._projecting += 1

    def _measure(self, batch: Sequence[tuple[str, int, str]]) -> None:
        if not self._candle_closed_at_ns:
            return
        now = time.time_ns()
        for _, _, text in batch:
            if (
                '"ORDER_FILLED"' in text
                and (closed_at := self._candle_closed_at_ns.pop(_decode_fill(text).data.order_id, None)) is not None
            ):
                self.sample("signal_to_fill", (now - closed_at) / 1e6)

    async def _project_batch(self) -> None:
        """All that waits of some users: their events of one order fall together into one write."""
        users = list(islice(self._to_project, USERS_PROJECTED_AT_ONCE))
        counts = {user_id: len(self._to_project[user_id]) for user_id in users}
        events = [_decode_event(text) for user_id in users for text in self._to_project[user_id]]
        await self._project([event for event in events if event.seq > self._flushed.get(event.user_id, 0)])
        await self._send_samples()
        for user_id in users:
            texts = self._to_project.pop(user_id)
            if later := texts[counts[user_id] :]:
                self._to_project[user_id] = later
        self._projecting -= sum(counts.values())

    async def _project(self, events: Sequence[PublicEvent]) -> None:
        begun, changed, sent = project(events)
        for collection, documents in begun.items():
            present = await self._store.insert_new(collection, documents)
            changed[collection] |= {key: documents[key] for key in present}
        for collection, documents in changed.items():
            await self._store.upsert(collection, documents)
        await self._store.add_to_sets("execution_logs", ORDER_IDS, sent)
        await self._store.upsert("sessions", {event.user_id: {"projected_seq": event.seq} for event in events})

    async def _send_samples(self) -> None:
        samples, self._samples = self._samples, {}
        for kind, milliseconds in samples.items():
            for start in range(0, len(milliseconds), SAMPLES_PER_MESSAGE):
                message = LatencySamples(kind=kind, milliseconds=milliseconds[start : start + SAMPLES_PER_MESSAGE])
                await self._bus.append(channels.LATENCY, encode(message), max_length=LATENCY_MESSAGES_KEPT)

    async def _catch_up_publishing(self) -> None:
        users = self._unpublished.begin(USERS_PROJECTED_AT_ONCE)
        records = await self._journaled(users)
        published = await self._bus.published_seqs(users)
        self._to_publish += [event for event in _numbered(records) if event[1] > published[event[0]]]
        self._unpublished.end(users)

    async def _catch_up_projecting(self) -> None:
        """What is not published yet comes to be projected later, in its turn."""
        users = self._unprojected.begin(USERS_PROJECTED_AT_ONCE)
        records = await self._journaled(users)
        published, projected = await self._bus.published_seqs(users), await self._projected_seqs(users)
        self._unprojected.end(users)
        for user_id, seq, text in _numbered(records):
            if projected.get(user_id, 0) < seq <= published[user_id]:
                self._keep_to_project(user_id, text)

    async def _journaled(self, users: list[str]) -> Mapping[str, Sequence[JournalRecord]]:
        """Snapshots are only taken of traders whose events are all out."""
        snapshots = await self._journal.load_snapshots(users)
        return await self._journal.read_many({user_id: snapshots[user_id][0] if user_id in snapshots else 0 for user_id in users})

    async def _projected_seqs(self, users: list[str]) -> dict[str, int]:
        sessions = await self._store.find("sessions", {"_id": {"$in": users}})
        return {str(session["_id"]): int(session.get("projected_seq", 0)) for session in sessions}

    def _wake(self) -> None:
        self._drained.clear()
        self._news.set()


class _Overflow:
    """Users whose events found no room in memory. They are in the journal, and read from there when there is room."""

    def __init__(self) -> None:
        self.users: dict[str, bool] = {}
        """Whether more has come since `begin`."""

    def add(self, user_id: str) -> None:
        self.users[user_id] = True

    def begin(self, count: int) -> list[str]:
        """The next users to be read from the journal."""
        users = list(islice(self.users, count))
        self.users.update(dict.fromkeys(users, False))
        return users

    def end(self, users: Sequence[str]) -> None:
        """Those of whom more has come while they were read stay, to be read again."""
        for user_id in users:
            if not self.users[user_id]:
                del self.users[user_id]


def _numbered(records: Mapping[str, Sequence[JournalRecord]]) -> Iterator[tuple[str, int, str]]:
    """(user id, seq, event) in order."""
    for user_id, each in records.items():
        for record in each:
            for seq, text in enumerate(record.events, start=record.last_seq - len(record.events) + 1):
                yield user_id, seq, text
