"""`runtime.ports.Journal` in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

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
        records = self._records.get(user_id, {})
        for number in sorted(number for number in records if number > after):
            yield records[number]

    async def save_snapshot(self, user_id: str, number: int, state: bytes) -> None:
        if number > self._snapshots.get(user_id, (-1, b""))[0]:
            self._snapshots[user_id] = (number, state)

    async def load_snapshot(self, user_id: str) -> tuple[int, bytes] | None:
        return self._snapshots.get(user_id)
