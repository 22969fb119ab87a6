"""Events on their way out: published to Redis in order, and projected into readable collections, behind the trading."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable

import msgspec
from loguru import logger

from actors.projection import project
from actors.wire import LatencySample, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import EventType, JournalRecord, PublicEvent
from runtime.ports import Bus, Clock, Store

BATCH = 2_000
RETRY_SECONDS = 0.25
LATENCY_SAMPLES_KEPT = 200_000

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Outbox:
    """Never blocks a trade: while Redis or the store is away events wait here, and the journal holds them anyway."""

    def __init__(self, bus: Bus, store: Store, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._to_publish: deque[tuple[str, int, str]] = deque()
        self._to_project: deque[str] = deque()
        self._samples: list[LatencySample] = []
        self._news = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._candle_closed_at_ns: dict[str, int] = {}

    def put(self, user_id: str, seq: int, event: str) -> None:
        self._to_publish.append((user_id, seq, event))
        self._drained.clear()
        self._news.set()

    async def resume(self, user_id: str, records: Iterable[JournalRecord]) -> None:
        """What an earlier incarnation journaled, but did not live to publish or to project, is got out now, in order."""
        session = await self._store.get("sessions", user_id) or {}
        projected, published = int(session.get("projected_seq", 0)), await self._bus.published_seq(user_id)
        for record in records:
            for seq, text in enumerate(record.events, start=record.last_seq - len(record.events) + 1):
                if seq > published:
                    self.put(user_id, seq, text)
                elif seq > projected:
                    self._to_project.append(text)
        if self._to_project:
            self._drained.clear()
            self._news.set()

    def measure_fill_of(self, order_id: str, candle_closed_at_ns: int) -> None:
        """When this entry is filled and the event is out, record the time since its candle's close."""
        self._candle_closed_at_ns[order_id] = candle_closed_at_ns

    def sample(self, kind: str, milliseconds: float) -> None:
        self._samples.append(LatencySample(kind=kind, milliseconds=milliseconds))

    @property
    def is_drained(self) -> bool:
        return self._drained.is_set()

    async def drained(self) -> None:
        await self._drained.wait()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._to_publish:
                await self._publish_batch()
            await self._project_all()
            if not self._to_publish and not self._to_project:
                self._drained.set()

    async def _publish_batch(self) -> None:
        batch = [self._to_publish[i] for i in range(min(BATCH, len(self._to_publish)))]
        try:
            await self._bus.publish_events(batch)
        except ServerUnavailable as error:
            logger.warning("{} events wait for Redis: {}", len(self._to_publish), error)
            await self._clock.sleep(RETRY_SECONDS)
            return
        for _ in batch:
            self._to_project.append(self._to_publish.popleft()[2])
        self._measure(batch)

    def _measure(self, batch: list[tuple[str, int, str]]) -> None:
        if not self._candle_closed_at_ns:
            return
        now = time.time_ns()
        for _, _, text in batch:
            if '"ORDER_FILLED"' not in text:
                continue
            event = _decode_event(text)
            closed_at = self._candle_closed_at_ns.pop(str(event.data["order_id"]), None)
            if event.type is EventType.ORDER_FILLED and closed_at is not None:
                self.sample("signal_to_fill", (now - closed_at) / 1e6)

    async def _project_all(self) -> None:
        while self._to_project:
            texts = [self._to_project[i] for i in range(min(BATCH, len(self._to_project)))]
            try:
                events = [_decode_event(text) for text in texts]
                for collection, documents in project(events).items():
                    await self._store.upsert(collection, documents)
                await self._store.upsert("sessions", {event.user_id: {"projected_seq": event.seq} for event in events})
                for item in self._samples:
                    await self._bus.append(channels.LATENCY, encode(item), max_length=LATENCY_SAMPLES_KEPT)
            except ServerUnavailable as error:
                logger.warning("{} events wait to be projected: {}", len(self._to_project), error)
                await self._clock.sleep(RETRY_SECONDS)
                continue
            self._samples.clear()
            for _ in texts:
                self._to_project.popleft()
            if self._to_publish:
                return
