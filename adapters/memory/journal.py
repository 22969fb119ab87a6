"""`runtime.ports.Journal` in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence

from runtime.events import JournalRecord


class MemoryJournal:
    """Several engines, incarnations and restarts may share one."""

    def __init__(self) -> None:
        self._records: defaultdict[str, dict[int, JournalRecord]] = defaultdict(dict)
        self._snapshots: dict[str, tuple[int, bytes]] = {}

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        fenced: set[str] = set()
        for record in records:
            if record.user_id not in fenced and self._records[record.user_id].setdefault(record.number, record) != record:
                fenced.add(record.user_id)
        return sorted(fenced)

    async def read(self, user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        for record in self._after(user_id, after):
            yield record

    async def read_many(self, after: Mapping[str, int]) -> dict[str, list[JournalRecord]]:
        return {user_id: self._after(user_id, number) for user_id, number in after.items()}

    async def save_snapshots(self, snapshots: Mapping[str, tuple[int, bytes]]) -> None:
        for user_id, (number, state) in snapshots.items():
            if number > self._snapshots.get(user_id, (-1, b""))[0]:
                self._snapshots[user_id] = (number, state)

    async def load_snapshots(self, user_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        return {user_id: self._snapshots[user_id] for user_id in user_ids if user_id in self._snapshots}

    def _after(self, user_id: str, number: int) -> list[JournalRecord]:
        records = self._records.get(user_id, {})
        return [records[each] for each in sorted(each for each in records if each > number)]
