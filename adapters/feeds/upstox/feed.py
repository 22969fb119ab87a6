"""`runtime.ports.Feed` of Upstox: one socket with one read-only token for all users."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from loguru import logger

from adapters.feeds.upstox.backlog import BACKLOG_MAX, Backlog
from adapters.feeds.upstox.decode import MARKET_INFO, Frame, FrameDecoder
from adapters.feeds.upstox.health import FeedHealth, FeedState
from adapters.feeds.upstox.history import read_history
from adapters.upstox import UpstoxClient
from adapters.upstox.instruments import InstrumentTable
from adapters.upstox.socket import Send, VenueSocket
from runtime.errors import InvalidInput, InvalidMarketData
from runtime.market import Candle, FeedClock, FeedEvent, FeedGap, FeedStatus, InstrumentId, Timeframe
from runtime.ports import Clock

KEYS_MAX = {"ltpc": 5000, "option_greeks": 3000, "full": 2000, "full_d30": 50}
"""Instruments one connection may follow, by mode, as long as it uses no other."""

KEYS_PER_MESSAGE = 500
STALE_SECONDS = 30.0
QUIET_SECONDS = 1.0
"""Without a frame for this long the venue's clock goes on by ours, so that a candle closes on time in a quiet market."""


class UpstoxFeed:
    """Ticks, gaps, changes of state and the venue's clock, in batches of one frame or more.

    A gap ends with the first data after it; the minutes inside are there for `history` to fill. `client.token.renew` is the
    operator's hook: after a refused token nothing is tried until it is called. `venue_speed` is venue seconds per second
    (1 but for a venue that plays a day faster; None: the clock moves by frames only).
    """

    def __init__(
        self,
        client: UpstoxClient,
        table: InstrumentTable,
        clock: Clock,
        *,
        mode: str = "full",
        stale_seconds: float = STALE_SECONDS,
        venue_speed: float | None = 1.0,
        backlog_max: int = BACKLOG_MAX,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if mode not in KEYS_MAX:
            raise InvalidInput("mode", mode, f"must be one of {', '.join(KEYS_MAX)}")
        self._client, self._table, self._clock = client, table, clock
        self._mode, self._stale_seconds, self._venue_speed = mode, stale_seconds, venue_speed
        self._decoder = FrameDecoder()
        self._wanted: dict[str, InstrumentId] = {}
        self._backlog = Backlog(backlog_max)
        self._health = FeedHealth()
        self._up: bool | None = None
        self._venue_time: datetime | None = None
        self._clock_sent: datetime | None = None
        self._heard_at = self._data_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._socket = VenueSocket(
            client.endpoints.feed,
            client.token,
            greet=self._greet,
            on_message=self._on_frame,
            on_down=self._on_down,
            on_auth_expired=self._on_auth_expired,
            is_stale=self._is_stale,
            jitter=jitter,
        )

    @property
    def health(self) -> FeedHealth:
        self._health.dropped = self._backlog.dropped
        return self._health

    @property
    def decoder(self) -> FrameDecoder:
        """For its counts of what was passed over."""
        return self._decoder

    def now(self) -> datetime:
        """The venue's clock as far as it is known, else ours."""
        return self._venue_time or self._clock.now()

    async def subscribe(self, instruments: Sequence[InstrumentId]) -> None:
        """Raises `InvalidInput` for an instrument that is not listed, or beyond the connection's limit; then nothing changes."""
        keys = {self._table.key(instrument): instrument for instrument in instruments}
        new = [key for key in keys if key not in self._wanted]
        limit = KEYS_MAX[self._mode]
        if len(self._wanted) + len(new) > limit:
            raise InvalidInput("instruments", len(self._wanted) + len(new), f"one connection follows at most {limit} in mode {self._mode}")
        for key in new:
            self._wanted[key] = keys[key]
            self._decoder.follow(key, keys[key])
        for message in self._messages("sub", new):
            await self._socket.send(message)

    async def unsubscribe(self, instruments: Sequence[InstrumentId]) -> None:
        keys = [key for instrument in instruments if (key := self._table.key(instrument)) in self._wanted]
        for key in keys:
            del self._wanted[key]
            self._decoder.forget(key)
        for message in self._messages("unsub", keys):
            await self._socket.send(message)

    async def stream(self) -> AsyncIterator[Sequence[FeedEvent]]:
        """Once per feed; ends with `close`."""
        if self._tasks:
            raise InvalidInput("stream", "a second reader", "a feed has one")
        self._health.state = FeedState.CONNECTING
        self._tasks = [asyncio.create_task(self._socket.run()), asyncio.create_task(self._keep_time())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        while (batch := await self._backlog.take()) is not None:
            yield batch
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def history(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        """Raises `BrokerUnavailable` when the venue does not answer."""
        return await read_history(self._client, self._table.key(instrument), instrument, timeframe, start, end, now=self.now())

    async def close(self) -> None:
        self._health.state = FeedState.CLOSED
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._backlog.end()
        await self._client.close()

    # --- what the socket reports ---

    async def _greet(self, send: Send) -> None:
        """A new connection knows nothing: it is told the whole set."""
        self._health.connects += 1
        self._decoder.reconnected()
        self._heard_at = self._data_at = asyncio.get_running_loop().time()
        for message in self._messages("sub", list(self._wanted)):
            await send(message)

    def _messages(self, method: str, keys: Sequence[str]) -> Iterator[bytes]:
        for first in range(0, len(keys), KEYS_PER_MESSAGE):
            data: dict[str, Any] = {"instrumentKeys": list(keys[first : first + KEYS_PER_MESSAGE])}
            if method == "sub":
                data["mode"] = self._mode
            yield msgspec.json.encode({"guid": uuid.uuid4().hex, "method": method, "data": data})

    def _on_frame(self, data: bytes) -> None:
        try:
            frame = self._decoder.decode(data)
        except InvalidMarketData as error:
            self._health.malformed += 1
            logger.warning("a market data frame was passed over: {}", error)
            return
        now = asyncio.get_running_loop().time()
        was_open = self._decoder.is_open
        self._health.frames += 1
        self._heard_at = now
        if frame.ticks or (frame.kind == MARKET_INFO and not was_open):
            self._data_at = now
        self._health.lag_ms = (self._clock.now() - frame.ts).total_seconds() * 1e3
        self._backlog.put(self._events(frame))

    def _events(self, frame: Frame) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        if self._up is not True and (frame.ticks or not self._decoder.is_open):
            if self._up is False and self._health.last_frame_at is not None and frame.ts > self._health.last_frame_at:
                start = self._health.last_frame_at.replace(second=0, microsecond=0)
                events.append(FeedGap(start=start, end=frame.ts, reason=self._health.reason))
                self._health.gaps += 1
            events.append(FeedStatus(ts=frame.ts, up=True, reason="connected"))
            self._up, self._health.state, self._health.reason = True, FeedState.LIVE, ""
        events.extend(frame.ticks)
        if frame.ticks:
            self._health.last_frame_at = frame.ts
        events.extend(self._clock_event(frame.ts))
        return events

    def _clock_event(self, ts: datetime) -> list[FeedClock]:
        if self._clock_sent is not None and ts <= self._clock_sent:
            return []
        self._venue_time = self._clock_sent = ts
        return [FeedClock(ts=ts)]

    def _on_down(self, reason: str) -> None:
        self._health.refused += reason.startswith("HTTP")
        self._fall(FeedState.DOWN, reason)

    def _on_auth_expired(self, reason: str) -> None:
        self._health.refused += 1
        self._fall(FeedState.AUTH_EXPIRED, f"AUTH_EXPIRED ({reason}): hand over a new market data token")

    def _fall(self, state: FeedState, reason: str) -> None:
        if self._health.state not in {FeedState.CLOSED, FeedState.STALE} or state is FeedState.AUTH_EXPIRED:
            self._health.state = state
        if self._up is not False:
            self._up, self._health.reason = False, reason
            logger.warning("market data is down: {}", reason)
            self._backlog.put([FeedStatus(ts=self.now(), up=False, reason=reason)])

    # --- time ---

    def _is_stale(self) -> bool:
        silent = asyncio.get_running_loop().time() - self._data_at > self._stale_seconds
        if not (silent and self._wanted and self._decoder.is_open):
            return False
        self._fall(FeedState.STALE, "no data although the market is open")
        self._health.state = FeedState.STALE
        return True

    async def _keep_time(self) -> None:
        while self._venue_speed is not None:
            await asyncio.sleep(QUIET_SECONDS / 4)
            quiet = asyncio.get_running_loop().time() - self._heard_at
            if self._up and self._venue_time is not None and quiet >= QUIET_SECONDS:
                ts = self._venue_time + timedelta(seconds=self._venue_speed * QUIET_SECONDS / 4)
                self._backlog.put(self._clock_event(min(ts, self._minute_end(ts)) if self._decoder.is_open else ts))

    def _minute_end(self, ts: datetime) -> datetime:
        """Silence of an open market closes no minute: it may hide its last trades, which the next frame, or history after a gap, will tell."""
        heard = self._health.last_frame_at or ts
        return heard.replace(second=0, microsecond=0) + timedelta(minutes=1, microseconds=-1)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._backlog.end()
