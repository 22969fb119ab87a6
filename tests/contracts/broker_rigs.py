"""What each broker adapter brings to the contract suite: itself, a venue that fails on demand, and a look into its books.

A new adapter adds a rig here and passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec
import pytest

from adapters.brokers.paper import PaperBroker, PaperVenue
from runtime.events import BrokerChanged
from runtime.market import Instrument, InstrumentId, Quote
from runtime.orders import Leg, Order, OrderEvent, derive_order_id
from runtime.paper import PaperExchange
from runtime.ports import Broker
from runtime.signals import OrderSide
from tests.builders import at, option

PATIENCE_SECONDS = 60.0


class Placed(msgspec.Struct, frozen=True):
    """An order in the venue's own books."""

    tag: str
    quantity: int


class Listener:
    """Reads a broker's events as they come."""

    def __init__(self, broker: Broker) -> None:
        self.all: list[OrderEvent | BrokerChanged] = []
        self._task = asyncio.create_task(self._read(broker))

    async def _read(self, broker: Broker) -> None:
        async for event in broker.events():
            self.all.append(event)

    def of(self, order: Order) -> list[OrderEvent]:
        return [event for event in self.all if not isinstance(event, BrokerChanged) and event.order_id == order.order_id]

    def kinds(self, order: Order) -> list[str]:
        return [type(event).__name__ for event in self.of(order)]

    async def until(self, order: Order, kind: str, advance: Callable[[], Awaitable[None]]) -> None:
        """Wait until the order has this kind of event; the venue's time moves meanwhile."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while kind not in self.kinds(order):
                await advance()
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Rig(Protocol):
    """One venue. `broker` opens an account there; `instrument` is liquid; `at_once` of `order`: fills on the next quotes."""

    instrument: Instrument

    async def broker(self, user: str = "U1") -> Broker: ...

    def placed(self) -> list[Placed]: ...

    async def advance(self) -> None:
        """Let a moment of the venue's time pass, so that what waits there happens."""
        ...

    def price(self) -> Decimal:
        """The last price of `instrument`."""
        ...

    def now(self) -> datetime: ...


class PaperRig:
    def __init__(self) -> None:
        self.instrument = option()
        self._price = 100.0
        self._quotes = {self.instrument.id: Quote(self.instrument.id, 100.0, 99.5, 100.5)}
        self._exchange = PaperExchange()
        self._venue = PaperVenue(self._exchange, self)
        self._placed: dict[str, Order] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def quote(self, instrument: InstrumentId) -> Quote | None:
        return self._quotes.get(instrument)

    async def broker(self, user: str = "U1") -> Broker:
        return PaperBroker(self._venue, user, self.now)

    def placed(self) -> list[Placed]:
        return [Placed(order.order_id, int(order.quantity)) for order in self._exchange.open_orders.values()]

    async def advance(self) -> None:
        """The price falls by one."""
        self._price = max(self._price - 1.0, 2.0)
        quote = Quote(self.instrument.id, self._price, self._price - 0.5, self._price + 0.5)
        self._quotes[self.instrument.id] = quote
        self._venue.on_quotes([quote], self.now())

    def price(self) -> Decimal:
        return Decimal(repr(self._price))

    def now(self) -> datetime:
        return at("10:00")


class UpstoxRig:
    """The local Upstox at 10:00, its clock moved by `advance` only."""

    def __init__(self, **changes: Any) -> None:
        pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
        from tests.venues.upstox import UpstoxVenue, simple

        self.venue = UpstoxVenue(msgspec.structs.replace(simple(users=2), **({"rate_limits": False} | changes)))
        self._brokers: list[Broker] = []
        self._clients: list[Any] = []
        self.settings: dict[str, Any] = {"quiet_seconds": 0.0, "visibility_seconds": 1.0, "answer_seconds": 1.0, "reprice_seconds": 0.4}

    async def __aenter__(self) -> Self:
        from adapters.instruments.upstox import load_instruments

        await self.venue.__aenter__()
        await self.venue.advance(45 * 60)
        self.table = await load_instruments(self.client("U1"), date(2026, 11, 20))
        self.instrument = self.table.instrument("NSE:BANKNIFTY26NOV52000CE")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for opened in (*self._brokers, *self._clients):
            await opened.close()
        await self.venue.__aexit__(kind, error, trace)

    def client(self, user: str) -> Any:
        from adapters.upstox import AccessToken, Endpoints, UpstoxClient

        urls = self.venue.urls
        endpoints = Endpoints(api=urls.rest, orders=urls.orders, feed=urls.feed, portfolio=urls.portfolio, instruments=urls.instruments)
        client = UpstoxClient(
            AccessToken(self.venue.token(user)), endpoints, answer_seconds=self.settings["answer_seconds"], jitter=lambda: 0.1
        )
        self._clients.append(client)
        return client

    async def broker(self, user: str = "U1") -> Broker:
        from adapters.brokers.upstox import AccountSettings, UpstoxBroker

        broker = UpstoxBroker(self.client(user), self.table, self.now, settings=AccountSettings(**self.settings))
        self._brokers.append(broker)
        await broker.open()
        return broker

    def placed(self) -> list[Placed]:
        from tests.venues.upstox.ledger import Happened

        return [Placed(entry.tag or "", entry.quantity) for entry in self.venue.ledger.entries(Happened.PLACED)]

    async def advance(self) -> None:
        await self.venue.advance(0.5)

    def price(self) -> Decimal:
        quote = self.venue.core.market.quote(self.venue.core.listing.of(self.instrument.id), self.venue.clock.now)
        assert quote is not None
        return Decimal(repr(quote.price))

    def now(self) -> datetime:
        return self.venue.clock.now

    def calls(self, operation: str) -> int:
        """Requests of this operation that have reached the venue."""
        return self.venue.core.journal.counts.get(operation, 0)


RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {"paper": PaperRig, "upstox": UpstoxRig}
"""Every adapter."""
WIRE_RIGS = {"upstox": UpstoxRig}
"""Those that speak to a venue over a wire, which can fail in between."""


def order(rig: Rig, name: str = "x", *, side: OrderSide = OrderSide.BUY, lots: int = 2, leg: Leg = Leg.ENTRY, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": derive_order_id("U1", "slot", name, leg),
        "user_id": "U1",
        "slot": "slot",
        "signal_id": name,
        "leg": leg,
        "instrument": rig.instrument,
        "side": side,
        "quantity": rig.instrument.lot_size * lots,
        "created_at": rig.now(),
    }
    return Order(**(fields | changes))
