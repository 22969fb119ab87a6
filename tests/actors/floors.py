"""A floor full of traders over memory adapters, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actors.desk import PaperDesk
from actors.outbox import Outbox
from actors.trading_floor import TradingFloor
from actors.user_trader import UserTrader
from adapters.clock import WallClock
from adapters.memory import MemoryBus, MemoryJournal, MemoryStore
from runtime.events import JournalRecord, StartSession
from runtime.market import Prices, Quote
from runtime.session import SessionConfig
from runtime.state import EngineState
from tests.builders import at, config, option


class GatedJournal(MemoryJournal):
    """Writes a batch only when the test opens the gate; keeps the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[JournalRecord]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        self.asked.set()
        await self.gate.wait()
        self.batches.append(list(records))
        return await super().append(records)


class Crowd:
    """`users` who follow the one strategy; their sessions have started."""

    def __init__(self, users: Sequence[str], settings: SessionConfig | None = None) -> None:
        self.journal, self.bus, self.store = GatedJournal(), MemoryBus(), MemoryStore()
        self.outbox = Outbox(self.bus, self.store, WallClock(), self.journal)
        self.store_is_away = False
        self.floor = TradingFloor(journal=self.journal, outbox=self.outbox, desk=PaperDesk(), store_is_away=lambda: self.store_is_away)
        self.settings = settings or config()
        self._users = users

    async def start(self) -> None:
        for user in self._users:
            self.floor.admit(UserTrader(user, state=EngineState(user_id=user), number=0, epoch=1))
        await self.floor.run([(user, StartSession(ts=at("09:15"), command_id="c", config=self.settings)) for user in self._users])
        for user in self._users:
            self.floor.refresh(self.floor.traders[user])
        await self.floor.on_prices(Prices(seq=1, ts=at("09:59"), quotes=(Quote(option().id, 100.0, 99.95, 100.0),)))
        self.journal.batches.clear()
