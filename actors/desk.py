"""Where a host's orders go: its paper desk, on which all its traders' paper orders are filled, or a live desk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from adapters.brokers.paper import PaperVenue
from runtime.market import InstrumentId, Quote
from runtime.orders import Order, OrderEvent
from runtime.paper import PaperExchange


class LiveDesk(Protocol):
    """Sends orders to the users' brokers, in tasks of its own. Nothing is answered here: what a broker reports comes back
    through `TraderHost.deliver`.
    """

    def submit(self, order: Order, ts: datetime) -> None: ...

    def cancel(self, user_id: str, order_id: str, ts: datetime) -> None: ...

    def reconcile(self, user_id: str, orders: Sequence[Order], ts: datetime) -> None:
        """A trader has just been restored with these orders open: find out what became of them, and report it."""
        ...


class PaperDesk:
    """Orders in, order events out, at once. The journal is the truth for paper: after a restart `submit` the open orders again."""

    def __init__(self) -> None:
        self.quotes: dict[InstrumentId, Quote] = {}
        self._venue = PaperVenue(PaperExchange(), self)

    def quote(self, instrument: InstrumentId) -> Quote | None:
        return self.quotes.get(instrument)

    def submit(self, order: Order, ts: datetime, *, slippage_percent: Decimal) -> list[OrderEvent]:
        return self._venue.submit_now(order, ts, slippage_percent=slippage_percent)

    def cancel(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        return self._venue.cancel_now(order_id, ts)

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """Take the newest quotes in and return what they fill of the resting orders: (user id, event)."""
        for quote in quotes:
            self.quotes[quote.instrument] = quote
        return self._venue.on_quotes(quotes, ts)
