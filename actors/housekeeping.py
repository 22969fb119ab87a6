"""What a host does beside trading: heartbeats, snapshots, and telling the market which prices it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from loguru import logger

from actors.outbox import Outbox
from actors.trading_floor import TradingFloor
from actors.wire import encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import Heartbeat
from runtime.market import InstrumentId
from runtime.ports import Bus, Journal

SNAPSHOT_EVERY = 100
"""Journal records after which a trader's state is saved, to bound the length of a recovery."""
SNAPSHOTS_AT_ONCE = 500
REDIS_SECONDS_MAX = 0.5
"""Exits wait no longer than this for news that the next report repeats."""


class Housekeeping:
    def __init__(
        self,
        host_id: str,
        *,
        floor: TradingFloor,
        outbox: Outbox,
        journal: Journal,
        bus: Bus,
        venue_time: Callable[[], datetime],
        heartbeat: timedelta,
        snapshots: timedelta,
    ) -> None:
        self._host_id, self._floor, self._outbox, self._journal, self._bus = host_id, floor, outbox, journal, bus
        self._venue_time, self._heartbeat, self._snapshots = venue_time, heartbeat, snapshots
        self._next_heartbeat: datetime | None = None
        self._next_snapshots: datetime | None = None
        self._held: set[InstrumentId] = set()

    async def look(self, last_tick_at: datetime) -> None:
        """Do what is due by the venue's clock."""
        now = self._venue_time()
        if self._next_heartbeat is None or now >= self._next_heartbeat:
            await self._beat(now, last_tick_at)
        if self._next_snapshots is None or now >= self._next_snapshots:
            await self.report_held()
            await self._save_snapshots(now)

    async def report_held(self) -> None:
        """Which instruments open positions and orders need prices of. What Redis does not take now is told the next time."""
        held = self._floor.held_instruments()
        if held == self._held:
            return
        try:
            async with asyncio.timeout(REDIS_SECONDS_MAX):
                await self._bus.set_fields(channels.HELD, {self._host_id: encode(sorted(held))})
        except (TimeoutError, ServerUnavailable) as error:
            logger.warning("the market is not told which prices are needed here: {}", str(error) or "no answer")
        else:
            self._held = held

    async def _beat(self, now: datetime, last_tick_at: datetime) -> None:
        first = self._next_heartbeat is None
        self._next_heartbeat = now + self._heartbeat
        if not first:
            await self._floor.tell_running(Heartbeat(ts=now, last_tick_age_seconds=(now - last_tick_at).total_seconds()))

    async def _save_snapshots(self, now: datetime) -> None:
        """Only when all events are out: recovery republishes from the records behind a snapshot."""
        if not self._outbox.is_drained:
            return
        self._next_snapshots = now + self._snapshots
        due = [trader for trader in self._floor.traders.values() if trader.since_snapshot >= SNAPSHOT_EVERY]
        for start in range(0, len(due), SNAPSHOTS_AT_ONCE):
            some = due[start : start + SNAPSHOTS_AT_ONCE]
            try:
                await self._journal.save_snapshots({trader.user_id: (trader.number, trader.snapshot()) for trader in some})
            except ServerUnavailable as error:
                logger.warning("{} snapshots wait for the store: {}", len(due) - start, error)
                return
