"""What the venue keeps per account, and what a test can script for one order."""

from __future__ import annotations

import msgspec

from tests.venues.upstox.orders import Order
from tests.venues.upstox.positions import Position


class OrderScript(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen to one order. `seconds` is venue time until the exchange has it, `hidden` meanwhile from every book.

    `fills` are the units of its first fills, `every` seconds apart, the rest follows after them; an empty tuple: it is never filled.
    """

    seconds: float = 0.0
    hidden: bool = False
    reject: str | None = None
    fills: tuple[int, ...] | None = None
    every: float = 1.0


PLAIN = OrderScript()


class Book:
    """Orders of today and positions of one account."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.positions: dict[tuple[str, str], Position] = {}

    def net(self, key: str, product: str) -> int:
        position = self.positions.get((key, product))
        return position.quantity if position else 0

    def left_to_close(self, order: Order) -> int:
        """The net position that `order` may reduce: open orders before it on its side reduce the same one."""
        held = self.net(order.listed.key, order.product)
        was_long, sign = held > 0, 1 if order.side == "BUY" else -1
        for other in self.orders.values():
            if other is order:
                break
            if (other.listed.key, other.product, other.side) == (order.listed.key, order.product, order.side) and not other.is_final:
                held += sign * other.remaining
        return max(held, 0) if was_long else min(held, 0)
