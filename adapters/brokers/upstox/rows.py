"""Rows of Upstox's books and messages of its portfolio stream. Unknown fields are passed over, unknown states keep working."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from runtime.orders import OrderStatus

_ZERO = Decimal(0)

_FINAL: Mapping[str, OrderStatus] = {
    "complete": OrderStatus.FILLED,
    "rejected": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "cancelled after market order": OrderStatus.CANCELLED,
}
"""Every other word means that the order may still do something."""


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order, or one slice of it. Quantities in units; `average_price` of what is filled."""

    order_id: str
    status: str = ""
    tag: str | None = None
    instrument_token: str | None = None
    transaction_type: str | None = None
    quantity: Decimal | None = None
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    status_message: str | None = None
    status_message_raw: str | None = None
    order_timestamp: str | None = None

    @property
    def filled(self) -> Decimal:
        return self.filled_quantity or _ZERO

    @property
    def cost(self) -> Decimal:
        return self.filled * (self.average_price or _ZERO)

    @property
    def outcome(self) -> OrderStatus | None:
        """None while it may still do something."""
        return _FINAL.get(self.status.strip().lower())

    @property
    def message(self) -> str:
        return self.status_message or self.status_message_raw or ""

    def is_before(self, other: OrderRow) -> bool:
        """Whether this is certainly older news of the same order than `other`: updates arrive doubled and in any order."""
        return self.filled < other.filled or (self.outcome is None and other.outcome is not None)


class TradeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `average_price` is its price."""

    order_id: str
    trade_id: str
    quantity: Decimal
    average_price: Decimal
    instrument_token: str | None = None
    transaction_type: str | None = None
    exchange_timestamp: str | None = None


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    instrument_token: str
    quantity: Decimal | None = None
    average_price: Decimal | None = None
    last_price: Decimal | None = None
    day_buy_quantity: Decimal | None = None
    day_sell_quantity: Decimal | None = None


class Update(msgspec.Struct, frozen=True):
    """The part of a portfolio message that says what it is."""

    update_type: str = ""


class Margin(msgspec.Struct, frozen=True):
    used_margin: Decimal | None = None
    available_margin: Decimal | None = None


class FundsRow(msgspec.Struct, frozen=True):
    equity: Margin | None = None


class Addresses(msgspec.Struct, frozen=True):
    primary_ip: str | None = None
    secondary_ip: str | None = None


class Profile(msgspec.Struct, frozen=True):
    user_id: str = ""


class Placed(msgspec.Struct, frozen=True):
    order_ids: list[str]


class Prices(msgspec.Struct, frozen=True):
    instrument_token: str
    last_price: Decimal | None = None
