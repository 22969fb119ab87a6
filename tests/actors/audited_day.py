"""A trader of one user, and its journal and public events, for tests of what is recorded of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.explain import Explanation, explain
from actors.projection import project
from actors.user_trader import UserTrader
from adapters.memory import MemoryJournal, MemoryStore
from runtime.events import (
    EngineInput,
    PublicEvent,
    SignalArrived,
    StartSession,
)
from runtime.orders import Leg, Order, OrderFilled
from runtime.session import SessionConfig
from runtime.signals import Signal
from runtime.state import EngineState
from tests.builders import at, config, orders

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Day:
    """One user's inputs, journaled as in production; `orders` are those sent, in order."""

    def __init__(self, settings: SessionConfig | None = None) -> None:
        self.journal = MemoryJournal()
        self.orders: list[Order] = []
        self.texts: list[str] = []
        self._trader = UserTrader("u1", state=EngineState(user_id="u1"), number=0, epoch=1)
        self._first = StartSession(ts=at("09:15"), command_id="c", config=settings or config())

    async def lives(self, *inputs: EngineInput) -> None:
        for event in (self._first, *inputs) if not self.texts else inputs:
            record, effects = self._trader.take(event)
            await self.journal.append([record])
            self.texts += record.events
            self.orders += orders(effects)

    async def arrives(self, what: Signal) -> None:
        await self.lives(SignalArrived(ts=what.ts, signal=what))

    async def fills(self, order: Order, price: int, clock: str, quantity: int | None = None) -> None:
        done = order.quantity if quantity is None else Decimal(quantity)
        name = f"f{len(self.texts)}"
        event = OrderFilled(ts=at(clock), order_id=order.order_id, fill_id=name, quantity=done, price=Decimal(price))
        await self.lives(event)

    async def explains(self, what: Signal) -> Explanation:
        return await explain(self.journal, MemoryStore(), "u1", what.signal_id)

    def decided(self, what: Signal) -> tuple[object, ...]:
        """(current, target, decision, reason) of the record."""
        found = self.records("execution_logs")[f"u1:{what.signal_id}"]
        return found["current"], found["target"], found["decision"], found["reason"]

    def records(self, collection: str) -> dict[str, dict[str, Any]]:
        begun, changed, sent = project([_decode_event(text) for text in self.texts])
        assert not changed[collection].keys() - begun[collection].keys()
        assert not sent
        return begun[collection]

    def sent(self, *legs: Leg) -> list[str]:
        return [order.order_id for order in self.orders if order.leg in legs]
