"""An order as the venue keeps it, and the rows its books show."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from runtime.market import IST
from tests.venues.upstox.listing import Listed


class Status(StrEnum):
    RECEIVED = "put order req received"
    VALIDATION = "validation pending"
    OPEN_PENDING = "open pending"
    OPEN = "open"
    TRIGGER_PENDING = "trigger pending"
    MODIFY_PENDING = "modify pending"
    MODIFIED = "modified"
    NOT_MODIFIED = "not modified"
    CANCEL_PENDING = "cancel pending"
    NOT_CANCELLED = "not cancelled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    COMPLETE = "complete"
    AFTER_MARKET = "after market order req received"


FINAL = frozenset({Status.CANCELLED, Status.REJECTED, Status.COMPLETE})


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: str
    ts: datetime
    quantity: int
    price: Decimal


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What may be modified. A `price` or `trigger_price` of 0 is none; `protection` is a percentage."""

    quantity: int
    order_type: str
    validity: str
    price: Decimal
    trigger_price: Decimal
    disclosed_quantity: int = 0
    protection: Decimal = Decimal(0)


class Order(msgspec.Struct, kw_only=True, eq=False):
    """`leg_quantities` has the open units of each order at the paper exchange that stands for it now.

    `visible_from`: None while no book and no search shows it. `trail` has a row per state it went through.
    """

    order_id: str
    user_id: str
    listed: Listed
    side: str
    product: str
    terms: Terms
    tag: str | None
    source: str
    placed_at: datetime
    status: Status = Status.RECEIVED
    visible_from: datetime | None = None
    exchange_order_id: str | None = None
    exchange_at: datetime | None = None
    updated_at: datetime | None = None
    message: str | None = None
    fills: list[Fill] = []
    filled: int = 0
    leg_quantities: dict[str, int] = {}
    legs_made: int = 0
    triggered: bool = False
    is_amo: bool = False
    parent_order_id: str | None = None
    order_ref_id: str | None = None
    trail: list[tuple[datetime, dict[str, Any]]] = []

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def remaining(self) -> int:
        return self.terms.quantity - self.filled

    @property
    def unsent(self) -> int:
        """Units that neither are filled nor stand at the exchange."""
        return self.remaining - sum(self.leg_quantities.values())

    @property
    def average_price(self) -> Decimal:
        if not self.filled:
            return Decimal(0)
        return sum((fill.price * fill.quantity for fill in self.fills), Decimal(0)) / self.filled

    def book_row(self) -> dict[str, Any]:
        """The columns of the order book; times are IST without a zone."""
        terms = self.terms
        return {
            "exchange": self.listed.exchange,
            "product": self.product,
            "price": float(terms.price),
            "quantity": terms.quantity,
            "status": str(self.status),
            "guid": None,
            "tag": self.tag,
            "instrument_token": self.listed.key,
            "placed_by": self.user_id,
            "trading_symbol": self.listed.symbol,
            "tradingsymbol": self.listed.symbol,
            "order_type": terms.order_type,
            "validity": terms.validity,
            "trigger_price": float(terms.trigger_price),
            "disclosed_quantity": terms.disclosed_quantity,
            "transaction_type": self.side,
            "average_price": round(float(self.average_price), 2),
            "filled_quantity": self.filled,
            "pending_quantity": 0 if self.is_final else self.remaining,
            "status_message": self.message,
            "status_message_raw": self.message,
            "exchange_order_id": self.exchange_order_id,
            "parent_order_id": self.parent_order_id,
            "order_id": self.order_id,
            "variety": "AMO" if self.is_amo else "SIMPLE",
            "order_timestamp": naive(self.updated_at or self.placed_at),
            "exchange_timestamp": naive(self.exchange_at),
            "is_amo": self.is_amo,
            "order_request_id": "1",
            "order_ref_id": self.order_ref_id,
        }

    def row_at(self, ts: datetime) -> dict[str, Any] | None:
        """The book row as it was at `ts`, None before the order could be seen."""
        rows = [row for seen_at, row in self.trail if seen_at <= ts]
        hidden = self.visible_from is None or ts < self.visible_from
        return None if hidden or not rows else rows[-1]

    def trade_rows(self, until: datetime) -> list[dict[str, Any]]:
        return [
            {
                "exchange": self.listed.exchange,
                "product": self.product,
                "trading_symbol": self.listed.symbol,
                "tradingsymbol": self.listed.symbol,
                "instrument_token": self.listed.key,
                "order_type": self.terms.order_type,
                "transaction_type": self.side,
                "quantity": fill.quantity,
                "exchange_order_id": self.exchange_order_id,
                "order_id": self.order_id,
                "exchange_timestamp": naive(fill.ts),
                "average_price": float(fill.price),
                "trade_id": fill.trade_id,
                "order_ref_id": self.order_ref_id,
                "order_timestamp": naive(self.placed_at),
            }
            for fill in self.fills
            if fill.ts <= until
        ]

    def update(self) -> dict[str, Any]:
        """The message of the portfolio stream."""
        return {
            "update_type": "order",
            "user_id": self.user_id,
            "userId": self.user_id,
            "instrument_key": self.listed.key,
            **self.book_row(),
            "exchange_order_id": self.exchange_order_id or "",
            "status_message": self.message or "",
        }


def naive(ts: datetime | None) -> str | None:
    """`YYYY-MM-DD HH:MM:SS` in IST, as the vendor writes times."""
    return None if ts is None else f"{ts.astimezone(IST):%Y-%m-%d %H:%M:%S}"


_NOT_IN_HISTORY = frozenset({"guid", "pending_quantity", "status_message_raw", "order_ref_id"})


def history_row(row: dict[str, Any]) -> dict[str, Any]:
    """A book row with the columns of `/v2/order/history`."""
    return {name: value for name, value in row.items() if name not in _NOT_IN_HISTORY} | {"parent_order_id": row["parent_order_id"] or "NA"}


def details_row(row: dict[str, Any]) -> dict[str, Any]:
    """A book row with the columns of `/v2/order/details`."""
    return {name: value for name, value in row.items() if name != "guid"}
