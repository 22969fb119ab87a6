"""Where a host's orders go: its paper desk, on which all its traders' paper orders are filled, or a live desk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from actors.order_ledger import OrderLedger
from actors.user_trader import UserTrader
from adapters.brokers.paper import PaperVenue
from runtime.engine.limits import SIGNAL_TIME_TO_LIVE
from runtime.events import EngineInput
from runtime.market import InstrumentId, Quote
from runtime.orders import Leg, Order, OrderAccepted, OrderEvent, OrderRejected
from runtime.paper import PaperExchange
from runtime.session import Mode
from runtime.state import OrderState


class LiveDesk(Protocol):
    """Sends orders to the users' brokers, in tasks of its own. Nothing is answered here: what a broker reports comes back
    through `TraderHost.deliver`.
    """

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None:
        """Once, by the host it works for: its inbox and its venue time."""
        ...

    def follow(self, trader: UserTrader) -> None:
        """A trader is here, or its settings have changed. What became of the open orders of a new one is found out first."""
        ...

    def submit(self, order: Order, ts: datetime) -> None: ...

    def cancel(self, order: Order, ts: datetime) -> None: ...

    def call_off(self, forbids: Callable[[str, str], bool]) -> None:
        """Entries on their way must not leave any more where `forbids(user id, slot)` holds."""
        ...

    def dismiss(self, user_id: str) -> None:
        """The user is not here any more."""
        ...

    async def close(self) -> None: ...


class PaperDesk:
    """Orders in, order events out, at once. The journal is the truth for paper: after a restart `submit` the open orders again."""

    def __init__(self, ledger: OrderLedger | None = None) -> None:
        self.quotes: dict[InstrumentId, Quote] = {}
        self._venue = PaperVenue(PaperExchange(), self)
        self._ledger = ledger

    def quote(self, instrument: InstrumentId) -> Quote | None:
        return self.quotes.get(instrument)

    def submit(self, order: Order, ts: datetime, *, slippage_percent: Decimal) -> list[OrderEvent]:
        events = self._venue.submit_now(order, ts, slippage_percent=slippage_percent)
        if self._ledger is not None and isinstance(events[0], OrderAccepted):
            self._ledger.note(order)
        return events

    def place_again(self, order: Order, ts: datetime, missed: Iterable[Quote], *, slippage_percent: Decimal) -> list[OrderEvent]:
        """An order out of another desk's book: first against the quotes, oldest first, that came while it was in nobody's."""
        quotes = [quote for quote in missed if quote.instrument == order.instrument.id]
        if quotes:
            book = PaperExchange()
            events = book.submit(order, quotes[0], ts, slippage_percent=slippage_percent)
            events += [event for quote in quotes[1:] for event in book.on_quote(quote, ts)]
            if not book.open_orders:
                if self._ledger is not None:
                    self._ledger.note(order)
                return events
        return self.submit(order, ts, slippage_percent=slippage_percent)

    def forget(self, order_id: str) -> None:
        self._venue.forget(order_id)

    def cancel(self, order_id: str, ts: datetime) -> list[OrderEvent]:
        return self._venue.cancel_now(order_id, ts)

    def on_quotes(self, quotes: Iterable[Quote], ts: datetime) -> list[tuple[str, OrderEvent]]:
        """Take the newest quotes in and return what they fill of the resting orders: (user id, event)."""
        for quote in quotes:
            self.quotes[quote.instrument] = quote
        return self._venue.on_quotes(quotes, ts)


class OrderRouter:
    """The one place from which orders leave: each goes to the paper or to the live desk, as its mode says."""

    def __init__(self, paper: PaperDesk, live: LiveDesk | None) -> None:
        """Without `live`, live orders are rejected."""
        self._paper, self._live = paper, live

    def submit(self, order: Order, ts: datetime, *, slippage_percent: Decimal) -> list[OrderEvent]:
        """What is known of the order at once."""
        if order.mode is Mode.PAPER:
            return self._paper.submit(order, ts, slippage_percent=slippage_percent)
        if self._live is None:
            return [OrderRejected(ts=ts, order_id=order.order_id, reason="this host has no live desk")]
        self._live.submit(order, ts)
        return []

    def cancel(self, order: Order, ts: datetime) -> list[OrderEvent]:
        if order.mode is Mode.PAPER:
            return self._paper.cancel(order.order_id, ts)
        if self._live is not None:
            self._live.cancel(order, ts)
        return []

    def find_again(
        self,
        states: Sequence[OrderState],
        now: datetime,
        missed: Sequence[Quote],
        *,
        slippage_percent: Decimal,
        forbids: Callable[[str, str], bool],
    ) -> list[OrderEvent]:
        """A restored trader's open paper orders. The paper book they were in is gone, and the journal knows what was in it: an
        entry that was to be cancelled, whose signal has grown old meanwhile or whose (user id, slot) an operator `forbids` is
        called off, the others are placed again, also against the quotes `missed` in between. Live ones the live desk has been
        looking for since it follows the trader.
        """
        answers: list[OrderEvent] = []
        for state in states:
            order = state.order
            if order.mode is Mode.LIVE:
                continue
            stale = now - order.created_at > SIGNAL_TIME_TO_LIVE
            if state.cancel_requested or (order.leg is Leg.ENTRY and (stale or forbids(order.user_id, order.slot))):
                answers += self._paper.cancel(order.order_id, now)
            else:
                answers += self._paper.place_again(order, now, missed, slippage_percent=slippage_percent)
        return answers

    def release(self, states: Iterable[OrderState]) -> None:
        """The user of these orders is another host's, which has found them again."""
        for state in states:
            if state.order.mode is Mode.PAPER:
                self._paper.forget(state.order.order_id)
