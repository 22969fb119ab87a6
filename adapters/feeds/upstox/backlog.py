"""The queue between the socket and its reader: bounded, and when it is full the newest tick per instrument stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import structs

from runtime.market import FeedClock, FeedEvent, InstrumentId, Tick

BACKLOG_MAX = 20_000


class Backlog:
    """Never blocks the socket. Beyond `limit` events all ticks but the newest of each instrument go, their volumes added
    to it; gaps and changes of state are never dropped.
    """

    def __init__(self, limit: int = BACKLOG_MAX) -> None:
        self._limit = limit
        self._events: list[FeedEvent] = []
        self._news = asyncio.Event()
        self._ended = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, events: Sequence[FeedEvent]) -> None:
        self._events.extend(events)
        if len(self._events) > self._limit:
            self._conflate()
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def take(self) -> list[FeedEvent] | None:
        """Everything that waits, in order; None once it has ended and is empty."""
        while not self._events:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        events, self._events = self._events, []
        return events

    def _conflate(self) -> None:
        newest: dict[InstrumentId, int] = {}
        volumes: dict[InstrumentId, float] = {}
        for index, event in enumerate(self._events):
            if isinstance(event, Tick):
                newest[event.instrument] = index
                if event.volume is not None:
                    volumes[event.instrument] = volumes.get(event.instrument, 0.0) + event.volume
        last_clock = max((index for index, event in enumerate(self._events) if isinstance(event, FeedClock)), default=-1)
        kept: list[FeedEvent] = []
        for index, event in enumerate(self._events):
            match event:
                case Tick():
                    if newest[event.instrument] != index:
                        self.dropped += 1
                        continue
                    kept.append(structs.replace(event, volume=volumes.get(event.instrument)))
                case FeedClock():
                    if index == last_clock:
                        kept.append(event)
                case _:
                    kept.append(event)
        self._events = kept
