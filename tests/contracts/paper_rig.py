"""The paper broker with the simulated market's feed and option chain."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from adapters.brokers.paper import PaperBroker, PaperVenue
from adapters.simulated import FreePacer, SimulatedFeed, SimulatedMarket, SimulatedOptionChainSource, SimulationConfig
from runtime.market import InstrumentId, Quote
from runtime.orders import Order
from runtime.paper import PaperExchange
from runtime.ports import Broker, Feed, OptionChainSource
from tests.builders import DAY, at, option
from tests.contracts.rig import Placed, Rig


class PaperRig(Rig):
    """A market that falls by one with every `advance`. Feed and chain move by being read."""

    adapter = PaperBroker

    def __init__(self) -> None:
        self.instrument = option()
        self._price = 100.0
        self._quotes = {self.instrument.id: Quote(self.instrument.id, 100.0, 99.5, 100.5)}
        self._exchange = PaperExchange()
        self._venue = PaperVenue(self._exchange, self)

    def quote(self, instrument: InstrumentId) -> Quote | None:
        return self._quotes.get(instrument)

    async def broker(self, user: str = "U1", **settings: Any) -> Broker:
        broker = PaperBroker(self._venue, user, self.now, **settings)
        await broker.open()
        return broker

    def feed(self, **options: Any) -> Feed:
        return SimulatedFeed(SimulatedMarket(SimulationConfig(sessions=(DAY,))), FreePacer(), resume_from=self.now(), **options)

    def chain(self) -> OptionChainSource:
        return SimulatedOptionChainSource(SimulatedMarket(SimulationConfig(sessions=(DAY,))), self.now)

    def placed(self) -> list[Placed]:
        orders: list[Order] = [*self._exchange.open_orders.values()]
        return [Placed(order.order_id, int(order.quantity)) for order in orders]

    async def advance(self) -> None:
        self._price = max(self._price - 1.0, 2.0)
        quote = Quote(self.instrument.id, self._price, self._price - 0.5, self._price + 0.5)
        self._quotes[self.instrument.id] = quote
        self._venue.on_quotes([quote], self.now())

    def price(self) -> Decimal:
        return Decimal(repr(self._price))

    def now(self) -> datetime:
        return at("10:00")
