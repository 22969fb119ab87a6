"""A broker with its own books, its own mind, and reports that come late, twice and out of order. Knows nothing of the engine's rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from runtime.events import CancelOrder, Effect, SubmitOrder
from runtime.market import InstrumentId
from runtime.orders import Leg, Order, OrderAbsent, OrderAccepted, OrderCancelled, OrderEvent, OrderFilled, OrderRejected, OrderUnknown
from runtime.signals import OrderSide


class BrokerOrder(msgspec.Struct, kw_only=True):
    """`open`: may still fill. `lost`: the trader was told that its fate is unknown."""

    order: Order
    open: bool = True
    lost: bool = False
    filled: Decimal = Decimal(0)

    @property
    def left(self) -> Decimal:
        return self.order.quantity - self.filled


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What left the engine for the broker, and when."""

    ts: datetime
    leg: Leg | None
    """None: a cancel."""


class BrokerModel:
    """`reports` wait to be delivered, in whatever order; `net` and `cash` are the account's truth."""

    def __init__(self) -> None:
        self.orders: dict[str, BrokerOrder] = {}
        self.reports: list[OrderEvent] = []
        self.delivered: list[OrderEvent] = []
        self.messages: list[Message] = []
        self.net: dict[InstrumentId, Decimal] = {}
        self.cash = Decimal(0)

    def take(self, effects: Sequence[Effect], ts: datetime) -> list[Order]:
        """Act on what the engine asks for; the new orders."""
        placed: list[Order] = []
        for effect in effects:
            if isinstance(effect, SubmitOrder):
                order = effect.order
                assert order.order_id not in self.orders, "an order id was used twice"
                self.orders[order.order_id] = BrokerOrder(order=order)
                self.messages.append(Message(ts=ts, leg=order.leg))
                placed.append(order)
            elif isinstance(effect, CancelOrder):
                assert effect.order_id in self.orders, "a cancel of an order that never left"
                self.messages.append(Message(ts=ts, leg=None))
        return placed

    def open(self, *legs: Leg) -> list[BrokerOrder]:
        return [each for each in self.orders.values() if each.open and (not legs or each.order.leg in legs)]

    # --- what the broker may do of its own accord ---

    def accept(self, each: BrokerOrder, ts: datetime) -> None:
        self.reports.append(OrderAccepted(ts=ts, order_id=each.order.order_id, broker_order_id=f"b-{each.order.order_id}"))

    def fill(self, each: BrokerOrder, quantity: Decimal, price: Decimal, ts: datetime) -> None:
        order = each.order
        each.filled += quantity
        each.open = each.left > 0
        sign = 1 if order.side is OrderSide.BUY else -1
        self.net[order.instrument.id] = self.net.get(order.instrument.id, Decimal(0)) + sign * quantity
        self.cash -= sign * quantity * price
        fill_id = f"{order.order_id}-{each.filled}"
        self.reports.append(OrderFilled(ts=ts, order_id=order.order_id, fill_id=fill_id, quantity=quantity, price=price))

    def cancel(self, each: BrokerOrder, ts: datetime) -> None:
        each.open = False
        self.reports.append(OrderCancelled(ts=ts, order_id=each.order.order_id))

    def reject(self, each: BrokerOrder, ts: datetime) -> None:
        if each.filled == 0:
            each.open = False
            self.reports.append(OrderRejected(ts=ts, order_id=each.order.order_id, reason="margin"))

    def lose(self, each: BrokerOrder, ts: datetime) -> None:
        each.lost = True
        self.reports.append(OrderUnknown(ts=ts, order_id=each.order.order_id, reason="timeout"))

    def settle_lost(self, each: BrokerOrder, ts: datetime) -> None:
        """The books show that it never arrived."""
        if each.filled == 0:
            each.open = False
            self.reports.append(OrderAbsent(ts=ts, order_id=each.order.order_id))

    # --- deliveries ---

    def next_report(self, pick: int) -> OrderEvent | None:
        """One of those that wait, not always the oldest."""
        if not self.reports:
            return None
        event = self.reports.pop(pick % len(self.reports))
        self.delivered.append(event)
        return event

    def repeat(self, pick: int) -> OrderEvent | None:
        return self.delivered[pick % len(self.delivered)] if self.delivered else None
