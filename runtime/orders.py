"""Order life cycle as a table, the commands we send to a broker and the reports that come back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec

from runtime.market import Instrument, Right
from runtime.session import Mode
from runtime.signals import OrderSide, Side


class OrderStatus(StrEnum):
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"

    @property
    def is_final(self) -> bool:
        return self not in TRANSITIONS


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"


class Leg(StrEnum):
    """What an order does for its position: open it, close it now, or wait at the venue as its stop or its target."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    STOP = "STOP"
    TARGET = "TARGET"


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One intent to trade, as sent to a broker. `order_id` is derived, see `derive_order_id`; quantity in units.

    `mode` says where it goes: to the paper exchange, or to the account at the session's broker.
    """

    order_id: str
    user_id: str
    slot: str
    signal_id: str
    leg: Leg
    mode: Mode = Mode.PAPER
    instrument: Instrument
    side: OrderSide
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    created_at: datetime


class OrderAccepted(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    ts: datetime
    order_id: str
    broker_order_id: str


class OrderRejected(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The broker's definite no."""

    ts: datetime
    order_id: str
    reason: str


class OrderFilled(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """One execution, partial or final. `fill_id` is unique per order, so that a repeated report is applied once."""

    ts: datetime
    order_id: str
    fill_id: str
    quantity: Decimal
    price: Decimal


class OrderCancelled(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    ts: datetime
    order_id: str
    reason: str = ""


class OrderUnknown(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The broker's answer was lost: the order may or may not exist."""

    ts: datetime
    order_id: str
    reason: str


class OrderAbsent(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The broker's own books prove that the order never existed."""

    ts: datetime
    order_id: str


OrderEvent: TypeAlias = OrderAccepted | OrderRejected | OrderFilled | OrderCancelled | OrderUnknown | OrderAbsent

_WORKING: Mapping[type[OrderEvent], OrderStatus] = {
    OrderFilled: OrderStatus.PARTIALLY_FILLED,  # FILLED once the whole quantity is done, see `engine.fills`
    OrderCancelled: OrderStatus.CANCELLED,
    OrderRejected: OrderStatus.REJECTED,
    OrderUnknown: OrderStatus.UNKNOWN,
}

TRANSITIONS: Mapping[OrderStatus, Mapping[type[OrderEvent], OrderStatus]] = {
    OrderStatus.SUBMITTED: {OrderAccepted: OrderStatus.ACCEPTED, OrderAbsent: OrderStatus.REJECTED, **_WORKING},
    OrderStatus.ACCEPTED: _WORKING,
    OrderStatus.PARTIALLY_FILLED: _WORKING,
    OrderStatus.UNKNOWN: {OrderAccepted: OrderStatus.ACCEPTED, OrderAbsent: OrderStatus.REJECTED, **_WORKING},
}
"""A status that is missing here is final; an event that is missing in a row is late or repeated news and changes nothing."""


def derive_order_id(user_id: str, slot: str, signal_id: str, leg: Leg, number: int = 0) -> str:
    """The same intent always has the same id, so redelivery cannot place it twice. `number` counts slices and repeats of a leg.

    20 characters of A-Z2-7: fits the tag field of every broker we know.
    """
    intent = "\x1f".join((user_id, slot, signal_id, leg, str(number)))
    bits = int.from_bytes(hashlib.blake2s(intent.encode(), digest_size=13).digest()) >> 4  # 100 of 104: 20 digits of 5
    high, low, pairs = bits >> 50, bits & _LOW_HALF, _BASE32_PAIRS
    return (
        pairs[high >> 40] + pairs[high >> 30 & 1023] + pairs[high >> 20 & 1023] + pairs[high >> 10 & 1023] + pairs[high & 1023]
        + pairs[low >> 40] + pairs[low >> 30 & 1023] + pairs[low >> 20 & 1023] + pairs[low >> 10 & 1023] + pairs[low & 1023]
    )  # fmt: skip


_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_LOW_HALF = (1 << 50) - 1


def exposure_of(order: Order) -> Side:
    """To the underlying, of what `order` opens: a bought put and a sold call are SHORT."""
    rises = (order.side is OrderSide.BUY) != (order.instrument.right is Right.PUT)
    return Side.LONG if rises else Side.SHORT
