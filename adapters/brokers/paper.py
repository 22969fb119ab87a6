"""Paper trading: a `Broker` per user over one exchange per process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from runtime.accounts import AccountPosition, Capability, Funds, OpenOrder, PreflightCheck
from runtime.errors import BrokerUnavailable, InvalidConfig, OrderNotFound
from runtime.market import Instrument, InstrumentId, Quote
from runtime.orders import Order, OrderEvent, OrderFilled
from runtime.paper import PaperExchange
from runtime.ports import QuoteBook
from runtime.signals import OrderSide

EVENTS_MAX = 10_000
DEFAULT_CAPITAL = Decimal(500_000)
_NO_SLIPPAGE = _ZERO = Decimal(0)


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

    def modify_now(self, order_id: str, *, limit_price: Decimal | None, stop_price: Decimal | None) -> None:
        """Raises `OrderNotFound` for an order that is not in the book."""
        if not self._exchange.modify(order_id, limit_price=limit_price, stop_price=stop_price):
            raise OrderNotFound(f"order {order_id} is not working")

    def forget(self, order_id: str) -> None:
        """The order is another venue's from now on."""
        self._exchange.forget(order_id)

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
    Positions are those of this broker's own fills; `capital` is what `funds` says, whatever is held.
    """

    name = "paper"
    native_stops = True
    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.NETWORK: "orders are filled inside this process: nothing is lost on the way",
        Capability.DAILY_LOGIN: "there is nothing to log in to",
        Capability.SIGNED_REQUESTS: "there are no requests",
        Capability.ORDER_RATE: "the paper exchange takes as many orders as come",
        Capability.ORDER_STREAM: "fills are handed over by a call",
        Capability.FREEZE_SLICES: "the paper exchange takes any quantity at once",
        Capability.PROTECTED_MARKET: "market orders are filled at the quote, and slippage is a setting",
        Capability.OWN_ADDRESS: "no order leaves the machine",
        Capability.ALGO_NAME: "no exchange is asked",
    }

    def __init__(
        self,
        venue: PaperVenue,
        user_id: str,
        now: Callable[[], datetime],
        *,
        slippage_percent: Decimal = _NO_SLIPPAGE,
        capital: Decimal = DEFAULT_CAPITAL,
        events_max: int = EVENTS_MAX,
    ) -> None:
        if not (slippage_percent.is_finite() and 0 <= slippage_percent < 100):
            raise InvalidConfig("slippage_percent", slippage_percent, "must be a percentage from 0 to below 100")
        self._venue = venue
        self._user_id = user_id
        self._now = now
        self._slippage_percent, self._capital = slippage_percent, capital
        self._orders: dict[str, Order] = {}
        self._fills: set[str] = set()
        self._held: dict[InstrumentId, tuple[Instrument, Decimal]] = {}
        self._events_max = events_max
        self._events: asyncio.Queue[OrderEvent | None] = asyncio.Queue()  # bounded by `submit`: fills are never dropped
        self._closed = False
        venue.attach(user_id, self)

    async def open(self) -> None:
        """There is nothing to log in to."""

    def renew(self, secret: str) -> None:
        """There is nothing to log in to."""

    async def submit(self, order: Order) -> None:
        if self._closed:
            raise BrokerUnavailable(f"the paper broker of {self._user_id} is closed")
        if self._events.qsize() >= self._events_max:
            raise BrokerUnavailable(f"{self._events_max} order events of {self._user_id} wait to be read")
        self._orders.setdefault(order.order_id, order)
        for event in self._venue.submit_now(order, self._now(), slippage_percent=self._slippage_percent):
            self.deliver(event)

    async def cancel(self, order_id: str) -> None:
        for event in self._venue.cancel_now(order_id, self._now()):
            self.deliver(event)

    async def modify(self, order_id: str, *, limit_price: Decimal | None = None, stop_price: Decimal | None = None) -> None:
        self._venue.modify_now(order_id, limit_price=limit_price, stop_price=stop_price)

    async def reconcile(self, orders: Sequence[OpenOrder]) -> None:
        for known in orders:
            await self.submit(known.order)

    async def positions(self) -> list[AccountPosition]:
        return [AccountPosition(instrument=instrument, quantity=quantity) for instrument, quantity in self._held.values()]

    async def funds(self) -> Funds:
        return Funds(available=self._capital, used=_ZERO)

    async def preflight(self) -> list[PreflightCheck]:
        return [PreflightCheck(name="session", passed=True, detail="paper: there is nothing to log in to")]

    async def events(self) -> AsyncIterator[OrderEvent]:
        while True:
            event = await self._events.get()
            if event is None:
                return
            yield event

    def deliver(self, event: OrderEvent) -> None:
        order = self._orders.get(event.order_id)
        if isinstance(event, OrderFilled) and order is not None and event.fill_id not in self._fills:  # repeats are told, not counted
            self._fills.add(event.fill_id)
            _, held = self._held.get(order.instrument.id, (order.instrument, _ZERO))
            change = event.quantity if order.side is OrderSide.BUY else -event.quantity
            self._held[order.instrument.id] = (order.instrument, held + change)
        self._events.put_nowait(event)

    async def close(self) -> None:
        """What was reported until now can still be read."""
        if not self._closed:
            self._closed = True
            self._venue.detach(self._user_id)
            self._events.put_nowait(None)
