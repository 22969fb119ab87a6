"""What waits for a host's loop, in order of arrival, and what happens when too much of it waits."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import NamedTuple, TypeAlias

import msgspec

from runtime.events import EngineInput
from runtime.market import InstrumentId, Prices, Quote

PRICES_WAITING_MAX = 1_000
"""Far above what a replay in lockstep sends between two barriers, so that only a host that lags behind a live market conflates."""
COMMANDS_WAITING_MAX = 2_000


class PriceBatch(NamedTuple):
    """`first_seq` is that of the oldest message in it: without conflation its own."""

    received_at_ns: int
    first_seq: int
    prices: Prices


class Command(NamedTuple):
    entry_id: str
    payload: bytes


class Silence(NamedTuple):
    """No price message for a while: the venue's clock must be at about `ts`."""

    ts: datetime


class Report(NamedTuple):
    """What a live broker said about an order or the account of this user."""

    user_id: str
    event: EngineInput


class StoreAnswers(NamedTuple):
    """The journal's store, having been away, answers again."""


Item: TypeAlias = PriceBatch | Command | Silence | Report | StoreAnswers


class Inbox:
    """Prices conflate: while `PRICES_WAITING_MAX` batches wait, a new one is merged into the newest that waits, so that only the
    newest quote of each instrument is looked at. Commands are read no faster than they are handled: beyond
    `COMMANDS_WAITING_MAX` they stay on their stream. Reports of live orders are always taken in: there are no more of them than
    orders in flight have news.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._aside: list[Command] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._commands = self._prices = 0
        self.conflated = 0
        """Price messages merged so far."""

    def put_prices(self, received_at_ns: int, prices: Prices) -> None:
        if self._prices < PRICES_WAITING_MAX:
            self._prices += 1
            self._put(PriceBatch(received_at_ns, prices.seq, prices))
            return
        position = next(index for index in range(len(self._items) - 1, -1, -1) if isinstance(self._items[index], PriceBatch))
        newest = self._items[position]
        if isinstance(newest, PriceBatch):
            self._items[position] = newest._replace(prices=conflate(newest.prices, prices))
            self.conflated += 1

    async def put_command(self, entry_id: str, payload: bytes) -> None:
        """Waits while too many commands wait."""
        await self._room.wait()
        self._commands += 1
        if self._commands >= COMMANDS_WAITING_MAX:
            self._room.clear()
        self._put(Command(entry_id, payload))

    def put(self, item: Silence | Report | StoreAnswers) -> None:
        self._put(item)

    def set_aside(self, command: Command) -> None:
        """It cannot be handled now; it counts as waiting, and comes first when it can."""
        self._aside.append(command)
        self._commands += 1
        if self._commands >= COMMANDS_WAITING_MAX:
            self._room.clear()

    def bring_back(self) -> None:
        """What was set aside, in its order."""
        self._items.extendleft(reversed(self._aside))
        self._aside.clear()
        self._news.set()

    async def wait(self) -> None:
        """Back when there is something to take."""
        while not self._items:
            self._news.clear()
            await self._news.wait()

    def take(self) -> Item:
        item = self._items.popleft()
        if isinstance(item, PriceBatch):
            self._prices -= 1
        elif isinstance(item, Command):
            self._commands -= 1
            self._room.set()
        return item

    def take_reports(self) -> list[Report]:
        """All reports at the head, to be journaled together."""
        reports: list[Report] = []
        while self._items and isinstance(self._items[0], Report):
            reports.append(self._items[0])
            self._items.popleft()
        return reports

    def __len__(self) -> int:
        return len(self._items)

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._news.set()


def conflate(earlier: Prices, later: Prices) -> Prices:
    """One batch that stands for both: the newest quote of each instrument, and every barrier reached."""
    newest: dict[InstrumentId, Quote] = {quote.instrument: quote for quote in earlier.quotes}
    newest.update((quote.instrument, quote) for quote in later.quotes)
    barrier = earlier.barrier if later.barrier is None else later.barrier
    return msgspec.structs.replace(later, quotes=tuple(newest.values()), barrier=barrier)
