"""The life of orders: gateway, risk desk, exchange. Everything here happens at the venue's clock and goes into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import msgspec

from runtime.market import InstrumentId, Quote
from runtime.orders import Leg, OrderEvent, OrderFilled, OrderRejected, OrderType
from runtime.orders import Order as PaperOrder
from runtime.paper import PaperExchange
from runtime.signals import OrderSide
from tests.venues.upstox import risk
from tests.venues.upstox.accounts import Account, Accounts
from tests.venues.upstox.books import PLAIN, Book, OrderScript
from tests.venues.upstox.clock import VenueClock
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.ledger import Entry, Happened, Ledger
from tests.venues.upstox.listing import Listed
from tests.venues.upstox.market import Market
from tests.venues.upstox.orders import Fill, Order, Status, Terms
from tests.venues.upstox.positions import Position
from tests.venues.upstox.requests import OrderRequest, parse_modify
from tests.venues.upstox.settings import VenueSettings

Publish = Callable[[str, dict[str, Any]], None]


class Desk:
    """All accounts' orders. `publish` gets every message of the portfolio streams with its user id."""

    def __init__(
        self, settings: VenueSettings, clock: VenueClock, market: Market, accounts: Accounts, ledger: Ledger, publish: Publish
    ) -> None:
        limit = settings.max_fill_quantity
        self._settings = settings
        self._clock = clock
        self._market = market
        self._accounts = accounts
        self._ledger = ledger
        self._publish = publish
        self._exchange = PaperExchange(max_fill_quantity=None if limit is None else Decimal(limit))
        self._books: dict[str, Book] = {}
        self._legs: dict[str, Order] = {}
        self._stops: dict[InstrumentId, list[Order]] = {}
        self._ids, self._trades = count(1), count(50_000_001)
        self.on_change: Callable[[Order], None] = lambda _order: None

    def book(self, user_id: str) -> Book:
        return self._books.setdefault(user_id, Book())

    @property
    def books(self) -> Mapping[str, Book]:
        return self._books

    @property
    def waits(self) -> bool:
        """Whether an order waits for the market."""
        return bool(self._legs) or any(self._stops.values())

    def find(self, user_id: str, order_id: object, missing: str) -> Order:
        """Raises ApiError where the id is missing, or no order that the customer can see has it."""
        if not order_id:
            raise refusal(missing, path="orderId", value=order_id)
        order = self.book(user_id).orders.get(str(order_id))
        if order is None or order.visible_from is None:
            raise refusal("UDAPI100010", path="orderId", value=order_id)
        return order

    def place(
        self, account: Account, request: OrderRequest, *, source: str = "api", script: OrderScript = PLAIN, order_ref_id: str | None = None
    ) -> list[str]:
        """Take an order, one child per slice. What becomes of it shows in the books and streams, never here."""
        return [self._take(account, request, quantity, source, script, order_ref_id).order_id for quantity in request.quantities]

    def modify(self, user_id: str, body: Mapping[str, Any]) -> Order:
        order = self.find(user_id, body.get("order_id"), "UDAPI1003")
        if order.is_final or order.status is Status.CANCEL_PENDING:
            raise refusal("UDAPI100041", path="orderId", value=order.order_id)
        terms = parse_modify(body, order, self._settings)
        waits_in = order.status if order.status in (Status.RECEIVED, Status.AFTER_MARKET) else None
        self._enter(order, Status.MODIFY_PENDING)
        reason = self._fault_of(order, terms)
        if reason is not None:
            self._enter(order, Status.NOT_MODIFIED, reason)
            self._enter(order, waits_in or (Status.TRIGGER_PENDING if self._is_waiting(order) else Status.OPEN))
            return order
        order.terms = terms
        self._enter(order, Status.MODIFIED)
        self._record(order, Happened.MODIFIED)
        if waits_in is None:
            self._withdraw(order)
            self._to_exchange(order, PLAIN)
        else:
            self._enter(order, waits_in)
        return order

    def cancel(self, user_id: str, order_id: object) -> Order:
        order = self.find(user_id, order_id, "UDAPI1023")
        if order.is_final:
            raise refusal("UDAPI100040", path="orderId", value=order.order_id)
        self._enter(order, Status.CANCEL_PENDING)
        self._clock.after(self._settings.cancel_seconds, partial(self._end, order, Status.CANCELLED))
        return order

    def on_step(self) -> None:
        """Match what rests against the quotes of the step that has just ended; stops are triggered by the last price."""
        now = self._clock.now
        waiting = {order.listed.instrument.id: order.listed for order in self._legs.values()}
        waiting |= {orders[0].listed.instrument.id: orders[0].listed for orders in self._stops.values() if orders}
        if not waiting:
            return
        quotes = self._market.quotes(waiting.values(), now)
        for _, event in self._exchange.on_quotes(quotes, now):
            self._on_event(event)
        for quote in quotes:
            self._trigger(quote)

    def on_spike(self, listed: Listed, price: float) -> None:
        """A single trade off the market."""
        quote = Quote(listed.instrument.id, price, price, price)
        for _, event in self._exchange.on_quotes([quote], self._clock.now):
            self._on_event(event)
        self._trigger(quote)

    def end_session(self) -> None:
        """The exchange has closed: what is still open is cancelled."""
        for book in self._books.values():
            for order in list(book.orders.values()):
                if not order.is_final and order.status is not Status.AFTER_MARKET:
                    self._end(order, Status.CANCELLED, "Order cancelled at the end of the session")

    def new_day(self, listed_keys: Container[str]) -> None:
        """The morning: yesterday's orders leave the books, profits become cash, positions are carried or, expired, settled."""
        for user_id, book in self._books.items():
            book.orders = {order_id: order for order_id, order in book.orders.items() if not order.is_final}
            account = self._accounts.by_id[user_id]
            for place, position in list(book.positions.items()):
                account.cash += position.realised
                position.carry()
                if position.quantity and position.listed.key not in listed_keys:
                    account.cash += self._settle(user_id, position)
                if not position.quantity or position.listed.key not in listed_keys:
                    del book.positions[place]

    def _settle(self, user_id: str, position: Position) -> Decimal:
        """Close a position in an expired contract at its last price; what it brings."""
        quote = self._market.quote(position.listed, self._clock.now)
        last = Decimal(repr(quote.price)) if quote is not None else Decimal(0)
        entry = Entry(
            seq=self._ledger.next_seq,
            ts=self._clock.now,
            what=Happened.SETTLED,
            user_id=user_id,
            order_id="",
            tag=None,
            source="rms",
            instrument_key=position.listed.key,
            side="SELL" if position.quantity > 0 else "BUY",
            quantity=abs(position.quantity),
            price=last,
        )
        self._ledger.append(entry)
        return position.unrealised(last)

    def quote(self, order: Order) -> Quote | None:
        return self._market.quote(order.listed, self._clock.now)

    def available(self, account: Account) -> Decimal:
        """Rupees left for new margin."""
        return account.cash + self.realised(account.user_id) - self.used(account.user_id)

    def realised(self, user_id: str) -> Decimal:
        return sum((position.realised for position in self.book(user_id).positions.values()), Decimal(0))

    def used(self, user_id: str, *, but: Order | None = None) -> Decimal:
        """Rupees bound by positions and by open orders."""
        book = self.book(user_id)
        held = sum((risk.position_margin(position, self._settings) for position in book.positions.values()), Decimal(0))
        asked = (
            risk.order_margin(order, book.left_to_close(order), self.quote(order), self._settings)
            for order in book.orders.values()
            if not order.is_final and order.exchange_order_id and order is not but
        )
        return held + sum(asked, Decimal(0))

    def _take(
        self, account: Account, request: OrderRequest, quantity: int, source: str, script: OrderScript, order_ref_id: str | None
    ) -> Order:
        now = self._clock.now
        number = next(self._ids)
        order = Order(
            order_id=f"{self._clock.local:%y%m%d}{number:09d}",
            user_id=account.user_id,
            listed=request.listed,
            side=request.side,
            product=request.product,
            terms=msgspec.structs.replace(request.terms, quantity=quantity),
            tag=request.tag,
            source=source,
            placed_at=now,
            visible_from=None if script.hidden else now,
            order_ref_id=order_ref_id or f"ref-{number}",
        )
        self.book(account.user_id).orders[order.order_id] = order
        self._record(order, Happened.PLACED)
        self._enter(order, Status.RECEIVED)
        self._clock.after(script.seconds or self._settings.acceptance_seconds, partial(self._validate, order, script))
        return order

    def _validate(self, order: Order, script: OrderScript) -> None:
        if order.is_final:
            return
        if order.visible_from is None:
            order.visible_from = self._clock.now
        self._enter(order, Status.VALIDATION)
        reason = script.reject or self._fault_of(order, order.terms)
        if reason is not None:
            self._end(order, Status.REJECTED, reason)
            return
        self._enter(order, Status.OPEN_PENDING)
        order.exchange_order_id, order.exchange_at = f"1{order.order_id}", self._clock.now
        self._record(order, Happened.ACCEPTED)
        if self._market.in_session(self._clock.now):
            self._to_exchange(order, script)
        else:
            order.is_amo = True
            self._enter(order, Status.AFTER_MARKET)
            self._clock.at(self._market.next_open(self._clock.now), partial(self._to_exchange, order, script))

    def _fault_of(self, order: Order, terms: Terms) -> str | None:
        """Why risk desk or exchange refuse `terms`."""
        if terms.quantity <= order.filled:
            return f"16419 : The quantity {terms.quantity} is not above the {order.filled} that are filled"
        proposed = msgspec.structs.replace(order, terms=terms)
        quote = self.quote(order)
        account = self._accounts.by_id[order.user_id]
        reason = risk.fault(proposed, quote, account.switched_off)
        if reason is not None:
            return reason
        needed = risk.order_margin(proposed, self.book(order.user_id).left_to_close(order), quote, self._settings)
        free = account.cash + self.realised(order.user_id) - self.used(order.user_id, but=order)
        if needed > free:
            return f"RMS:Margin Exceeds, Required:{needed:.2f}, Available:{free:.2f} for the account"
        return None

    def _is_waiting(self, order: Order) -> bool:
        return bool(order.terms.trigger_price) and not order.triggered

    def _to_exchange(self, order: Order, script: OrderScript) -> None:
        if order.is_final:
            return
        if self._is_waiting(order):
            self._stops.setdefault(order.listed.instrument.id, []).append(order)
            self._enter(order, Status.TRIGGER_PENDING)
            return
        self._enter(order, Status.OPEN)
        if script.fills is None:
            self._send_leg(order, order.unsent)
        else:
            self._send_scripted(order, script.fills, script.every)
        if order.terms.validity == "IOC" and not order.is_final:
            self._end(order, Status.CANCELLED, "Unmatched IOC order cancelled by the exchange")

    def _send_scripted(self, order: Order, fills: tuple[int, ...], every: float) -> None:
        """The next scripted part; after the last one the rest, all of it. A script without parts leaves the order unfilled."""
        if order.is_final or not fills:
            return
        self._send_leg(order, min(fills[0], order.unsent))
        if fills[1:]:
            self._clock.after(every, partial(self._send_scripted, order, fills[1:], every))
        else:
            self._clock.after(every, lambda: self._send_leg(order, order.unsent))

    def _send_leg(self, order: Order, quantity: int) -> None:
        if order.is_final or quantity <= 0:
            return
        now, quote = self._clock.now, self.quote(order)
        order.legs_made += 1
        leg_id = f"{order.order_id}.{order.legs_made}"
        self._legs[leg_id] = order
        order.leg_quantities[leg_id] = quantity
        kind, limit = self._kind(order, quote)
        leg = PaperOrder(
            order_id=leg_id,
            user_id=order.user_id,
            slot="",
            signal_id="",
            leg=Leg.ENTRY,
            instrument=order.listed.instrument,
            side=OrderSide(order.side),
            quantity=Decimal(quantity),
            type=kind,
            limit_price=limit,
            created_at=now,
        )
        for event in self._exchange.submit(leg, quote if self._market.is_open(now) else None, now):
            self._on_event(event)

    def _kind(self, order: Order, quote: Quote | None) -> tuple[OrderType, Decimal | None]:
        if order.terms.price:
            return OrderType.LIMIT, order.terms.price
        protected = self._settings.market_orders == "protected" or order.terms.protection
        if protected and quote is not None:
            return OrderType.LIMIT, risk.protected_price(order, quote)
        return OrderType.MARKET, None

    def _on_event(self, event: OrderEvent) -> None:
        order = self._legs.get(event.order_id)
        if order is None:
            return
        if isinstance(event, OrderRejected):
            self._end(order, Status.REJECTED, event.reason)
        elif isinstance(event, OrderFilled):
            self._fill(order, event)

    def _fill(self, order: Order, event: OrderFilled) -> None:
        quantity = int(event.quantity)
        left = order.leg_quantities[event.order_id] - quantity
        if left:
            order.leg_quantities[event.order_id] = left
        else:
            del order.leg_quantities[event.order_id], self._legs[event.order_id]
        fill = Fill(trade_id=str(next(self._trades)), ts=self._clock.now, quantity=quantity, price=event.price)
        order.fills.append(fill)
        order.filled += quantity
        order.exchange_at = self._clock.now
        self._record(order, Happened.FILLED, fill=fill)
        positions = self.book(order.user_id).positions
        place = (order.listed.key, order.product)
        position = positions.setdefault(place, Position(listed=order.listed, product=order.product))
        position.apply(order.side, quantity, event.price)
        if not order.remaining:
            self._enter(order, Status.COMPLETE)
        else:
            self._enter(order, Status.CANCEL_PENDING if order.status is Status.CANCEL_PENDING else Status.OPEN)
        self._publish(order.user_id, position.update())

    def _trigger(self, quote: Quote) -> None:
        last = Decimal(repr(quote.price))
        stops = self._stops.get(quote.instrument, [])
        for order in [stop for stop in stops if _reached(stop, last)]:
            stops.remove(order)
            order.triggered = True
            self._record(order, Happened.TRIGGERED)
            self._to_exchange(order, PLAIN)

    def _withdraw(self, order: Order) -> None:
        """Take what stands for the order out of the exchange and out of the stops."""
        for leg_id in list(order.leg_quantities):
            self._exchange.cancel(leg_id, self._clock.now)
            del self._legs[leg_id], order.leg_quantities[leg_id]
        stops = self._stops.get(order.listed.instrument.id, [])
        if order in stops:
            stops.remove(order)

    def _end(self, order: Order, status: Status, reason: str | None = None) -> None:
        if order.is_final:
            return
        self._withdraw(order)
        self._record(order, Happened.REJECTED if status is Status.REJECTED else Happened.CANCELLED, reason=reason)
        self._enter(order, status, reason)

    def _enter(self, order: Order, status: Status, message: str | None = None) -> None:
        order.status, order.message, order.updated_at = status, message, self._clock.now
        order.trail.append((self._clock.now, order.book_row()))
        if order.visible_from is not None:
            self._publish(order.user_id, order.update())
        self.on_change(order)

    def _record(self, order: Order, what: Happened, *, fill: Fill | None = None, reason: str | None = None) -> None:
        entry = Entry(
            seq=self._ledger.next_seq,
            ts=self._clock.now,
            what=what,
            user_id=order.user_id,
            order_id=order.order_id,
            tag=order.tag,
            source=order.source,
            instrument_key=order.listed.key,
            side=order.side,
            quantity=fill.quantity if fill else order.terms.quantity,
            price=fill.price if fill else order.terms.price or None,
            trade_id=fill.trade_id if fill else None,
            reason=reason,
        )
        self._ledger.append(entry)


def _reached(order: Order, last: Decimal) -> bool:
    trigger = order.terms.trigger_price
    return last >= trigger if order.side == "BUY" else last <= trigger
