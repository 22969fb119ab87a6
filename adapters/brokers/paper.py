"""Paper trading: a `Broker` per user over one exchange per process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from runtime.errors import BrokerUnavailable, InvalidConfig
from runtime.market import Quote
from runtime.orders import Order, OrderEvent
from runtime.paper import PaperExchange
from runtime.ports import QuoteBook

EVENTS_MAX = 10_000
_NO_SLIPPAGE = Decimal(0)


class PaperVenue:
    """The paper exchange of one host, and the quotes it fills against.

    Two ways to use it, mixed freely: a host calls `submit_now`, `cancel_now` and `on_quotes` and hands the events to its
    traders itself, without a task per user; or a user has a `PaperBroker`, which then gets the events of that user.
    """

    def __init__(self, exchange: PaperExchange, quotes: QuoteBook) -> None:
        self._exchange = exchange
        self._quotes = quotes
        self._brokers: dict[str, PaperBroker] = {}

    def submit_now(self, order: Order, ts: datetime, *, slippage_percent: Decimal = _NO_SLIPPAGE) -> list[OrderEvent]:
        """Place `order` against the newest quote. An order known here is not placed again; all known of it is returned."""
        quote = self._quotes.quote(order.instrument.id)
        return self._exchange.submit(order, quote, ts, slippage_percent=slippage_percent)

    def cancel_now(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        return self._exchange.cancel(order_id, ts)

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """(user id, fill) of resting orders of users without a `PaperBroker`; the others' fills go to their brokers."""
        own: list[tuple[str, OrderEvent]] = []
        for user_id, event in self._exchange.on_quotes(quotes, ts):
            broker = self._brokers.get(user_id)
            if broker is None:
                own.append((user_id, event))
            else:
                broker.deliver(event)
        return own

    def attach(self, user_id: str, broker: PaperBroker) -> None:
        if user_id in self._brokers:
            raise InvalidConfig("user_id", user_id, "this user has a paper broker on this venue already; close it first")
        self._brokers[user_id] = broker

    def detach(self, user_id: str) -> None:
        self._brokers.pop(user_id, None)


class PaperBroker:
    """`runtime.ports.Broker` of one user's paper account.

    The journal is the truth about a paper account: the exchange's own memory dies with the process, and `reconcile` places
    again whatever it does not know. A user who does not read `events` is refused further orders after `events_max` of them.
    """

    name = "paper"
    native_stops = False

    def __init__(
        self,
        venue: PaperVenue,
        user_id: str,
        now: Callable[[], datetime],
        *,
        slippage_percent: Decimal = _NO_SLIPPAGE,
        events_max: int = EVENTS_MAX,
    ) -> None:
        if not (slippage_percent.is_finite() and 0 <= slippage_percent < 100):
            raise InvalidConfig("slippage_percent", slippage_percent, "must be a percentage from 0 to below 100")
        self._venue = venue
        self._user_id = user_id
        self._now = now
        self._slippage_percent = slippage_percent
        self._events_max = events_max
        self._events: asyncio.Queue[OrderEvent | None] = asyncio.Queue()  # bounded by `submit`: fills are never dropped
        self._closed = False
        venue.attach(user_id, self)

    async def submit(self, order: Order) -> None:
        if self._closed:
            raise BrokerUnavailable(f"the paper broker of {self._user_id} is closed")
        if self._events.qsize() >= self._events_max:
            raise BrokerUnavailable(f"{self._events_max} order events of {self._user_id} wait to be read")
        for event in self._venue.submit_now(order, self._now(), slippage_percent=self._slippage_percent):
            self.deliver(event)

    async def cancel(self, order_id: str) -> None:
        for event in self._venue.cancel_now(order_id, self._now()):
            self.deliver(event)

    async def reconcile(self, orders: Sequence[Order]) -> None:
        for order in orders:
            await self.submit(order)

    async def events(self) -> AsyncIterator[OrderEvent]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            yield event

    def deliver(self, event: OrderEvent) -> None:
        self._events.put_nowait(event)

    async def close(self) -> None:
        """What was reported until now can still be read."""
        if not self._closed:
            self._closed = True
            self._venue.detach(self._user_id)
            self._events.put_nowait(None)
