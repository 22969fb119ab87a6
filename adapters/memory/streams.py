"""Append-only streams and consumer groups, as Redis has them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple


class Entry(NamedTuple):
    number: int
    payload: bytes

    @property
    def id(self) -> str:
        return f"{self.number}-0"


class Stream:
    """Entries numbered from 1. Readers wait for the next one on the event loop's own time."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.groups: dict[str, Group] = {}
        self.last_number = 0

    def append(self, payload: bytes, max_length: int) -> Entry:
        self.last_number += 1
        entry = Entry(self.last_number, payload)
        self._entries.append(entry)
        if len(self._entries) > max_length + max_length // 10:  # in steps, so that an append costs O(1)
            del self._entries[: len(self._entries) - max_length]
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        return entry

    def after(self, number: int, count: int) -> list[Entry]:
        if number >= self.last_number or not self._entries:
            return []
        start = max(0, number + 1 - self._entries[0].number)
        return self._entries[start : start + count]

    def get(self, number: int) -> Entry | None:
        """None once it is trimmed away."""
        found = self.after(number - 1, 1)
        return found[0] if found and found[0].number == number else None

    async def wait(self, seconds: float) -> bool:
        """For the next entry; False if none came in time."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            self._waiting = [other for other in self._waiting if other is not waiter]
            return False
        return True


class Group:
    """What was handed to whom and is not acknowledged yet: number -> (consumer, when)."""

    def __init__(self) -> None:
        self.delivered = 0
        self.pending: dict[int, tuple[str, float]] = {}


def number_of(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
