"""The journal of a host that must be able to close positions while the journal's store is away.

Within `STORE_SECONDS_MAX` the store takes a batch, or it counts as away: from then on records go to a log on this machine's
disk, entries wait (in the engine, and at the door those decided before), and exits go on. When the store answers
again, the log is written into it, in order and under the numbers the records have: what is there already is our own, from
a call whose answer was lost. Only then are entries allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import chain, islice

from loguru import logger

from adapters.local_log import LocalLog
from runtime import channels
from runtime.errors import DiskUnavailable, ServerUnavailable
from runtime.events import JournalRecord
from runtime.ports import Bus, Clock, Journal

STORE_SECONDS_MAX = 3.0
"""The store has this long to take a batch before it counts as away."""
PROBE_SECONDS = 0.5
EPOCHS_SECONDS_MAX = 0.5
BATCH = 1_000


class FallbackJournal:
    """`runtime.ports.Journal`. Without a `log` it is the store's journal and nothing else."""

    def __init__(self, journal: Journal, bus: Bus, clock: Clock, log: LocalLog | None, *, seconds_max: float = STORE_SECONDS_MAX) -> None:
        self._journal, self._bus, self._clock, self._log, self._seconds_max = journal, bus, clock, log, seconds_max
        self._away = asyncio.Event()
        self._told = False

    @property
    def is_away(self) -> bool:
        return self._away.is_set()

    # --- the port ---

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        if self._log is None:
            return await self._journal.append(records)
        fenced: set[str] = set()
        while True:
            if not self.is_away:
                try:
                    async with asyncio.timeout(self._seconds_max):
                        return sorted(fenced.union(await self._journal.append(records)))
                except (TimeoutError, ServerUnavailable) as error:
                    self.fall(error)
            taken = await self._taken_by_others(records)
            try:
                self._log.append([record for record in records if record.user_id not in taken])
            except DiskUnavailable as error:
                logger.critical("neither the journal's store nor the local log takes a record, so that no order leaves: {}", error)
                await self._clock.sleep(PROBE_SECONDS)
                fenced |= await self._try_to_restore()
            else:
                return sorted(fenced | taken)

    def read(self, user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        return self._journal.read(user_id, after)

    async def read_many(self, after: Mapping[str, int]) -> dict[str, list[JournalRecord]]:
        return await self._journal.read_many(after)

    async def save_snapshots(self, snapshots: Mapping[str, tuple[int, bytes]]) -> None:
        await self._journal.save_snapshots(snapshots)

    async def load_snapshots(self, user_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        return await self._journal.load_snapshots(user_ids)

    # --- away and back ---

    async def watch(self, on_answer: Callable[[], None]) -> None:
        """Call `on_answer` when the store, having been away, answers again: time for `restore`, in the host's own turn."""
        while True:
            await self._away.wait()
            await self._clock.sleep(PROBE_SECONDS)
            try:
                async with asyncio.timeout(self._seconds_max):
                    await self._journal.load_snapshots([])
            except (TimeoutError, ServerUnavailable):
                continue
            if self.is_away and not self._told:
                self._told = True
                on_answer()

    async def restore(self) -> set[str]:
        """Write the local log into the store, and go on there. Returns the users whose records another incarnation has forestalled.

        Raises:
            ServerUnavailable: it is still, or again, away; nothing is lost, and what was written is not written twice.
        """
        self._told = False
        fenced: set[str] = set()
        if self._log is not None and not self._log.is_empty:
            fenced = await self._drain(self._log)
        self._away.clear()
        logger.info("the journal's store is back")
        return fenced

    async def take_up(self) -> None:
        """What dead hosts of this machine have left in their logs, ours before us among them, goes into the store before
        anybody's journal is read. Waits for the store, however long it takes.
        """
        if self._log is None:
            return
        for left in self._log.left_behind():
            while True:
                try:
                    await self._drain(left)
                except ServerUnavailable as error:
                    logger.warning("a local log waits for the journal's store: {}", error)
                    await self._clock.sleep(PROBE_SECONDS)
                else:
                    break

    async def _drain(self, log: LocalLog) -> set[str]:
        fenced: set[str] = set()
        count = 0
        for records in batches(chain.from_iterable(log.read()), BATCH):
            count += len(records)
            fenced.update(await self._journal.append([record for record in records if record.user_id not in fenced]))
        if fenced:
            logger.critical("kept for people to look at in {}: records of {} that others had forestalled", log.set_aside(), sorted(fenced))
        else:
            log.clear()
        logger.info("{} records of the local log are in the journal", count)
        return fenced

    async def _try_to_restore(self) -> set[str]:
        try:
            return await self.restore()
        except ServerUnavailable:
            return set()

    async def _taken_by_others(self, records: Sequence[JournalRecord]) -> set[str]:
        """By Redis, since the store cannot be asked: users of whom a newer incarnation lives. Where Redis is away as well nobody is."""
        try:
            async with asyncio.timeout(EPOCHS_SECONDS_MAX):
                newest = await self._bus.get_fields(channels.EPOCHS)
        except (TimeoutError, ServerUnavailable):
            return set()
        return {record.user_id for record in records if int(newest.get(record.user_id, b"0")) > record.epoch}

    def fall(self, error: Exception) -> None:
        """The store counts as away. Raises `error` where there is no log to go on with."""
        if self._log is None:
            raise error
        self._away.set()
        logger.critical(
            "the journal's store is away, exits go on by the local log: {}", str(error) or f"no answer for {self._seconds_max:g} s"
        )


def batches(records: Iterable[JournalRecord], size: int) -> Iterable[list[JournalRecord]]:
    waiting = iter(records)
    while batch := list(islice(waiting, size)):
        yield batch
