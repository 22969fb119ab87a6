"""What the adapter knows of one order: its slices as the books show them, and what it has told the trader."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from adapters.brokers.upstox.rows import OrderRow, TradeRow
from adapters.upstox.refusals import reason_of
from runtime.orders import Order, OrderCancelled, OrderFilled, OrderRejected, OrderStatus

_ZERO = Decimal(0)


class Track:
    """One order from its sending to its end. No I/O.

    Fills are counted by the quantity done: whatever is told twice, late or in another order adds nothing.
    """

    __slots__ = ("absent", "accepted", "cancel_wanted", "closed", "complete", "cost", "missed_since", "order", "reported", "rows", "sent")

    def __init__(self, order: Order, *, filled: Decimal = _ZERO) -> None:
        """`filled`: what a process before this one has reported of it."""
        self.order = order
        self.rows: dict[str, OrderRow | None] = {}
        """Newest row of each slice by broker order id; None while only its id is known."""
        self.reported = filled
        self.cost: Decimal | None = _ZERO if filled == 0 else None
        """Of what is reported; None where only the process before this one knew."""
        self.accepted = self.closed = self.sent = self.cancel_wanted = False
        self.absent = False
        """Reported absent. Should it turn up after all, nobody wants it any more."""
        self.complete = False
        """All slices are known: the broker named them, or their quantities add up."""
        self.missed_since: float | None = None
        """When it was sent, where this process knows, else when the books were first looked at in vain; seconds of `monotonic`."""

    def gone(self) -> None:
        """The books have proved that it never arrived."""
        self.absent = self.closed = True

    def revive(self) -> None:
        """It has turned up all the same, and is to go."""
        self.absent = self.closed = False
        self.cancel_wanted = True

    def named(self, broker_order_ids: Iterable[str]) -> None:
        """The broker's answer to placing it: all of its slices."""
        self.known_as(broker_order_ids)
        self.complete = True

    def known_as(self, broker_order_ids: Iterable[str]) -> None:
        """Some of its slices have these ids."""
        for broker_order_id in broker_order_ids:
            self.rows.setdefault(broker_order_id, None)

    def take(self, row: OrderRow) -> bool:
        """Take in a row of the order; False when it is old news."""
        known = self.rows.get(row.order_id)
        if known is not None and (row == known or row.is_before(known)):
            return False
        self.rows[row.order_id] = row
        self.missed_since = None
        if sum((r.quantity or _ZERO for r in self.rows.values() if r is not None), _ZERO) >= self.order.quantity:
            self.complete = True
        return True

    @property
    def filled(self) -> Decimal:
        return sum((row.filled for row in self.rows.values() if row is not None), _ZERO)

    @property
    def open_ids(self) -> list[str]:
        """Slices that may still do something."""
        return [name for name, row in self.rows.items() if row is None or row.outcome is None]

    @property
    def filled_ids(self) -> list[str]:
        return [name for name, row in self.rows.items() if row is not None and row.filled > 0]

    @property
    def is_over(self) -> bool:
        return self.complete and bool(self.rows) and not self.open_ids

    def fills_from(self, trades: Iterable[TradeRow], ts: datetime) -> list[OrderFilled]:
        """Executions beyond what was reported, oldest first, as far as the trade book goes."""
        fills: list[OrderFilled] = []
        done = _ZERO
        for trade in sorted(trades, key=lambda trade: (trade.exchange_timestamp or "", trade.trade_id)):
            done += trade.quantity
            if done > self.reported:
                fills.append(self._fill(min(trade.quantity, done - self.reported), trade.average_price, ts))
        return fills

    def fill_at_average(self, ts: datetime) -> list[OrderFilled]:
        """What the order rows show beyond what was reported, at the price that their averages imply."""
        quantity = self.filled - self.reported
        if quantity <= 0:
            return []
        cost = sum((row.cost for row in self.rows.values() if row is not None), _ZERO)
        price = cost / self.filled if self.cost is None else (cost - self.cost) / quantity
        if price <= 0:
            return []
        return [self._fill(quantity, price.quantize(self.order.instrument.tick_size / 10), ts)]

    def end(self, ts: datetime) -> OrderCancelled | OrderRejected | None:
        """What is left to say of an order that is over and whose fills are reported; None when all of it was filled."""
        self.closed = True
        if self.reported >= self.order.quantity:
            return None
        rows = [row for row in self.rows.values() if row is not None]
        text = next((row.message for row in rows if row.message), "")
        if not self.reported and all(row.outcome is OrderStatus.REJECTED for row in rows):
            return OrderRejected(ts=ts, order_id=self.order.order_id, reason=f"{reason_of(text)}: {text or 'rejected'}")
        return OrderCancelled(ts=ts, order_id=self.order.order_id, reason=text)

    def _fill(self, quantity: Decimal, price: Decimal, ts: datetime) -> OrderFilled:
        self.reported += quantity
        self.cost = None if self.cost is None else self.cost + quantity * price
        order_id = self.order.order_id
        return OrderFilled(ts=ts, order_id=order_id, fill_id=f"{order_id}-{self.reported.normalize():f}", quantity=quantity, price=price)
