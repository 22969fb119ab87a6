"""The paper desk of a host: one exchange per slippage setting, shared by all its traders, without a task per user."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from runtime.market import InstrumentId, Quote
from runtime.orders import Order, OrderEvent
from runtime.paper import PaperExchange


class PaperDesk:
    """Orders in, order events out, at once. The journal is the truth for paper: after a restart `submit` the open orders again."""

    def __init__(self) -> None:
        self.quotes: dict[InstrumentId, Quote] = {}
        self._exchanges: dict[Decimal, PaperExchange] = {}
        self._owners: dict[str, tuple[str, PaperExchange]] = {}

    def submit(self, order: Order, ts: datetime, *, slippage_percent: Decimal) -> list[OrderEvent]:
        exchange = self._exchanges.get(slippage_percent)
        if exchange is None:
            exchange = self._exchanges[slippage_percent] = PaperExchange(slippage_percent=slippage_percent)
        events = exchange.submit(order, self.quotes.get(order.instrument.id), ts)
        if order.order_id in exchange.open_orders:
            self._owners[order.order_id] = (order.user_id, exchange)
        return events

    def cancel(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        owner = self._owners.pop(order_id, None)
        return [] if owner is None else owner[1].cancel(order_id, ts)

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """Take the newest quotes in and return what they fill of the resting orders: (user id, event)."""
        fills: list[tuple[str, OrderEvent]] = []
        for quote in quotes:
            self.quotes[quote.instrument] = quote
            if self._owners:
                for exchange in self._exchanges.values():
                    fills.extend((self._owners[event.order_id][0], event) for event in exchange.on_quote(quote, ts))
        return fills
