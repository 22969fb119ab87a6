"""Append-only streams and consumer groups, as Redis has them."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple

_NUMBER = attrgetter("number")


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
        self._waiting: list[asyncio.Future[bool]] = []
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
            _settle(waiter, True)
        return entry

    def after(self, number: int, count: int) -> list[Entry]:
        start = bisect_left(self._entries, number + 1, key=_NUMBER)
        return self._entries[start : start + count]

    def get(self, number: int) -> Entry | None:
        """None once it is trimmed away or deleted."""
        found = self.after(number - 1, 1)
        return found[0] if found and found[0].number == number else None

    def delete(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            index = bisect_left(self._entries, number, key=_NUMBER)
            if index < len(self._entries) and self._entries[index].number == number:
                del self._entries[index]

    async def wait(self, seconds: float) -> bool:
        """For the next entry; False if none came in time."""
        loop = asyncio.get_running_loop()
        self._waiting = [waiter for waiter in self._waiting if not waiter.done()]
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        expiry = loop.call_later(seconds, _settle, waiter, False)
        try:
            return await waiter
        finally:
            expiry.cancel()


class Group:
    """What was handed to whom and is not acknowledged yet: number -> (consumer, when)."""

    def __init__(self) -> None:
        self.delivered = 0
        self.pending: dict[int, tuple[str, float]] = {}


def _settle(waiter: asyncio.Future[bool], result: bool) -> None:
    if not waiter.done():
        waiter.set_result(result)


def number_of(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
