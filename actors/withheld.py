"""Entries that were decided before the journal's store was found away: they stay here, and leave when it is back."""

from __future__ import annotations

from datetime import datetime

from runtime.engine.limits import SIGNAL_TIME_TO_LIVE
from runtime.orders import Order, OrderCancelled, OrderEvent


class Withheld:
    """Of one host, in the order of decision."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Order]] = {}
        """user id -> order id -> order."""

    def put(self, order: Order) -> None:
        self._orders.setdefault(order.user_id, {})[order.order_id] = order

    def call_off(self, user_id: str, order_id: str) -> bool:
        """Whether it was here, and so has never left."""
        return self._orders.get(user_id, {}).pop(order_id, None) is not None

    def drop(self, user_id: str) -> None:
        """The user is not here any more: whoever has him finds his open orders in the journal."""
        self._orders.pop(user_id, None)

    def take(self, now: datetime) -> tuple[list[Order], list[tuple[str, OrderEvent]]]:
        """What may leave now, and (user id, its end) of each that has grown old."""
        taken, self._orders = self._orders, {}
        orders = [order for of_user in taken.values() for order in of_user.values()]
        fresh = [order for order in orders if now - order.created_at <= SIGNAL_TIME_TO_LIVE]
        return fresh, [
            (order.user_id, OrderCancelled(ts=now, order_id=order.order_id, reason="not sent: the journal's store was away too long"))
            for order in orders
            if now - order.created_at > SIGNAL_TIME_TO_LIVE
        ]
