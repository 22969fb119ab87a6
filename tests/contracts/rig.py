"""What a broker brings to the contract suites: its adapters, a venue that fails on demand, and a look into the venue's books."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self

import msgspec

from runtime.accounts import Capability
from runtime.errors import RefusalReason
from runtime.market import Instrument, InstrumentId
from runtime.orders import Leg, Order, OrderEvent, OrderFilled, derive_order_id
from runtime.outages import BrokerChanged
from runtime.ports import Broker, Feed, OptionChainSource
from runtime.signals import OrderSide

PATIENCE_SECONDS = 60.0


class Placed(msgspec.Struct, frozen=True):
    """An order in the venue's own books."""

    tag: str
    quantity: int


class Request(msgspec.Struct, frozen=True):
    """One that has reached the venue. `headers` in lower case, secrets taken out; `peer` is the address it came from."""

    path: str
    body: str
    headers: Mapping[str, str]
    peer: str


class Rig(ABC):
    """One venue with what an account there needs, as an async context manager.

    `instrument` is a liquid option, its `index` and `future` those of its underlying.
    """

    adapter: ClassVar[type[Broker]]
    instrument: Instrument
    index: str = "NSE:BANKNIFTY"
    future: str = "NSE:BANKNIFTY26NOVFUT"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    @abstractmethod
    async def broker(self, user: str = "U1", **settings: Any) -> Broker:
        """A client of this user's account, open; `settings` are the adapter's own."""

    @abstractmethod
    def feed(self, **options: Any) -> Feed: ...

    @abstractmethod
    def chain(self) -> OptionChainSource: ...

    @abstractmethod
    def placed(self) -> list[Placed]:
        """Orders that the venue took, oldest first."""

    @abstractmethod
    async def advance(self) -> None:
        """Let a moment of the venue's time pass, so that what waits there happens."""

    @abstractmethod
    def price(self) -> Decimal:
        """The last price of `instrument`."""

    @abstractmethod
    def now(self) -> datetime: ...


class NetworkRig(Rig):
    """A venue in this process that is reached over sockets.

    `faults` is its module of faults, which has the names of `tests.venues.upstox.faults`. Settings of the broker that this
    suite changes are named as in `adapters.brokers.upstox.AccountSettings`; `refusals` are answers to a new order, each with
    what the adapter makes of it: (status, code, reason).
    """

    faults: ModuleType
    visibility_seconds = 1.0
    refusals: ClassVar[Sequence[tuple[int, str, RefusalReason]]] = ()

    @abstractmethod
    def inject(self, *faults: Any) -> None: ...

    @abstractmethod
    def waiting_faults(self) -> Sequence[Any]:
        """Those of calls that have not struck yet."""

    @abstractmethod
    def requests(self, operation: str) -> list[Request]:
        """`place`, `modify`, `cancel`, `order_book` or `positions`, as far as they were answered or cut off."""

    def calls(self, operation: str) -> int:
        return len(self.requests(operation))

    @abstractmethod
    def fills(self, tag: str) -> list[tuple[int, Decimal]]:
        """(quantity, price) of each execution in the venue's books."""

    @abstractmethod
    def drop_streams(self) -> None:
        """Cut every connection on which orders are told."""

    @abstractmethod
    def admit_streams(self) -> None:
        """Forget the refusals of such connections that are still to come."""

    @abstractmethod
    def streams(self) -> int:
        """How many such connections are open."""

    @abstractmethod
    def register_algo(self, user: str, name: str) -> None:
        """This user's orders may carry the name of an algo that is registered with the exchange."""

    @abstractmethod
    def secret(self, user: str = "U1") -> str:
        """What the user's adapter logs in with."""

    @abstractmethod
    def log_in(self, user: str = "U1") -> str:
        """The user has logged in with the broker again; the new secret."""

    @abstractmethod
    def spend(self, user: str, left: Decimal) -> None:
        """Leave this user so much money."""

    @abstractmethod
    def nowhere(self) -> dict[str, Any]:
        """Settings of a broker whose orders go to a port where nobody listens."""

    @abstractmethod
    async def advance_to(self, ts: datetime) -> None: ...

    @abstractmethod
    def last(self, instrument: InstrumentId) -> float:
        """The newest price that the venue's feed has sent."""

    @abstractmethod
    def followed(self) -> set[InstrumentId]:
        """What the feed's connections are subscribed to, as the venue has it."""

    @abstractmethod
    def renew(self, feed: Feed, secret: str) -> None:
        """The operator hands the feed a new secret."""

    @abstractmethod
    def history_spans(self) -> list[tuple[date, date]]:
        """First and last day of every request for candles of days before today, ascending."""

    @abstractmethod
    async def spoil_chain(self, underlying: InstrumentId, expiry: date) -> None:
        """The venue's next answer has no put at its lowest strike, a call without bid and open interest (written as 0) at the second,
        a call without volatility at the third, and not the fourth strike.
        """

    @abstractmethod
    def address(self, user: str = "U1") -> bytes:
        """What another process needs to reach this account, for `connect`."""

    @classmethod
    @abstractmethod
    async def connect(cls, address: bytes) -> Broker:
        """The account at `address`, open, from any process."""


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

    def fills(self, order: Order) -> list[tuple[int, Decimal]]:
        """(quantity, price) of each."""
        return [(int(event.quantity), event.price) for event in self.of(order) if isinstance(event, OrderFilled)]

    def filled(self, order: Order) -> int:
        return sum(quantity for quantity, _ in self.fills(order))

    async def until(self, order: Order, kind: str, advance: Callable[[], Awaitable[None]]) -> None:
        """Wait until the order has this kind of event; the venue's time moves meanwhile."""
        await eventually(lambda: kind in self.kinds(order), advance)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def eventually(what: Callable[[], object], advance: Callable[[], Awaitable[None]] | None = None) -> None:
    """Wait until `what` holds, the venue's time moving meanwhile if `advance` says how."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not what():
            if advance is not None:
                await advance()
            await asyncio.sleep(0.02)


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


def lacks(rig: type[Rig], capability: Capability) -> str | None:
    """Why the rig's broker lacks it; None where it has it."""
    return rig.adapter.lacks.get(capability)
