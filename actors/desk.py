"""The paper desk of a host: one exchange and one set of quotes for all its traders, without a task per user."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from runtime.errors import BrokerRefused
from runtime.market import InstrumentId, Quote
from runtime.orders import Order, OrderEvent, OrderRejected
from runtime.paper import PaperExchange


class PaperDesk:
    """Orders in, order events out, at once. The journal is the truth for paper: after a restart `submit` the open orders again."""

    def __init__(self) -> None:
        self.quotes: dict[InstrumentId, Quote] = {}
        self._exchange = PaperExchange()

    def submit(self, order: Order, ts: datetime, *, slippage_percent: Decimal) -> list[OrderEvent]:
        try:
            return self._exchange.submit(order, self.quotes.get(order.instrument.id), ts, slippage_percent=slippage_percent)
        except BrokerRefused as error:
            return [OrderRejected(ts=ts, order_id=order.order_id, reason=str(error))]

    def cancel(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        return self._exchange.cancel(order_id, ts)

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """Take the newest quotes in and return what they fill of the resting orders: (user id, event)."""
        fills: list[tuple[str, OrderEvent]] = []
        for quote in quotes:
            self.quotes[quote.instrument] = quote
            fills.extend((self._exchange.user_of(event.order_id), event) for event in self._exchange.on_quote(quote, ts))
        return fills
