"""Candles and ticks on their way to the store, behind the market."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from enum import StrEnum
from typing import Any

from loguru import logger

from runtime.errors import ServerUnavailable
from runtime.market import Candle, InstrumentId, Tick
from runtime.ports import Clock, Store

CANDLES_WAITING_MAX = 50_000
MINUTES_WAITING_MAX = 5_000
"""Of ticks, per instrument. Beyond these the oldest goes: candles are to be had from the venue's history again, ticks are not."""
_RETRY_SECONDS = 1.0

_Row = tuple[int, float, float | None, float | None, float | None]


class TicksKept(StrEnum):
    NONE = "none"
    SERVED = "served"
    """Of the instruments that strategies run on."""
    ALL = "all"
    """Of the options around the money as well."""


class MarketRecorder:
    """Ticks are kept raw, a minute of an instrument in one document of `ticks`: `_id` instrument, minute and the lease's token.

    A row is [milliseconds since the minute, price, volume, bid, ask], in order of arrival.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.dropped = 0
        self._store, self._clock = store, clock
        self._candles: deque[Candle] = deque()
        self._minutes: deque[tuple[str, dict[str, Any]]] = deque()
        self._open: dict[InstrumentId, tuple[datetime, list[_Row]]] = {}
        self._news = asyncio.Event()

    def put(self, candle: Candle) -> None:
        if len(self._candles) >= CANDLES_WAITING_MAX:
            self._candles.popleft()
            self.dropped += 1
        self._candles.append(candle)
        self._news.set()

    def put_tick(self, tick: Tick, token: int) -> None:
        minute = tick.ts.replace(second=0, microsecond=0)
        started, rows = self._open.get(tick.instrument, (minute, []))
        if minute > started:
            self._close(tick.instrument, token)
            started, rows = minute, []
        self._open[tick.instrument] = (started, rows)
        milliseconds = round((tick.ts - started).total_seconds() * 1000)  # below 0: it came late, from the minute before
        rows.append((milliseconds, tick.price, tick.volume, tick.bid, tick.ask))

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._write()
            except ServerUnavailable as error:
                logger.warning("{} candles and {} minutes of ticks wait for the store: {}", len(self._candles), len(self._minutes), error)
                await self._clock.sleep(_RETRY_SECONDS)
                self._news.set()

    async def settle(self, token: int) -> None:
        """Write all that is left, ticks of the open minute included."""
        for instrument in list(self._open):
            self._close(instrument, token)
        await self._write()

    def _close(self, instrument: InstrumentId, token: int) -> None:
        started, rows = self._open.pop(instrument)
        if len(self._minutes) >= MINUTES_WAITING_MAX:
            self._minutes.popleft()
            self.dropped += 1
        self._minutes.append((f"{instrument}:{started:%Y%m%dT%H%M}:{token}", {"instrument": instrument, "ts": started, "rows": rows}))
        self._news.set()

    async def _write(self) -> None:
        while self._candles or self._minutes:
            candles, self._candles = self._candles, deque[Candle]()
            minutes, self._minutes = self._minutes, deque[tuple[str, dict[str, Any]]]()
            try:
                await self._store.write_candles(list(candles))
                await self._store.upsert("ticks", dict(minutes))
            except ServerUnavailable:
                self._candles.extendleft(reversed(candles))
                self._minutes.extendleft(reversed(minutes))
                raise
