"""Order requests as they come in, checked as the vendor's gateway checks them before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import Any

import msgspec

from runtime.market import InstrumentKind
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.listing import Listed, Listing
from tests.venues.upstox.orders import Order, Terms
from tests.venues.upstox.settings import VenueSettings

SLICES_MAX = 25
TAG_MAX = 40
PROTECTION_MAX = 25
ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
_PRODUCTS = ("I", "D", "MTF")
_VALIDITIES = ("DAY", "IOC")


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    listed: Listed
    side: str
    product: str
    terms: Terms
    tag: str | None
    quantities: tuple[int, ...]
    """Of each child; one unless the order is sliced."""


def parse_place(body: Mapping[str, Any], listing: Listing, settings: VenueSettings) -> OrderRequest:
    """Raises ApiError with the documented code of the first fault."""
    listed = tradable(body.get("instrument_token"), listing)
    quantity = whole(body.get("quantity"), "UDAPI1052", "quantity")
    _one_of(body, "product", _PRODUCTS, "UDAPI1054", "UDAPI1054")
    _one_of(body, "transaction_type", ("BUY", "SELL"), "UDAPI1057", "UDAPI1057")
    if body.get("order_type") in ("MARKET", "SL-M") and number(body, "price"):
        raise refusal("UDAPI1040", path="price", value=body["price"])
    terms = _terms(body, quantity, settings)
    tag = body.get("tag")
    if tag is not None and len(str(tag)) > TAG_MAX:
        raise refusal("UDAPI1119", path="tag")
    quantities = _slices(quantity, listed) if body.get("slice") else (quantity,)
    return OrderRequest(
        listed=listed,
        side=body["transaction_type"],
        product=body["product"],
        terms=terms,
        tag=None if tag is None else str(tag),
        quantities=quantities,
    )


def parse_modify(body: Mapping[str, Any], order: Order, settings: VenueSettings) -> Terms:
    """Fields that are left out keep their value."""
    quantity = whole(body["quantity"], "UDAPI1052", "quantity") if body.get("quantity") else order.terms.quantity
    return _terms(body, quantity, settings)


def tradable(key: object, listing: Listing) -> Listed:
    if not key:
        raise refusal("UDAPI1026", path="instrumentToken", value=key)
    listed = listing.get(str(key))
    if listed is None or listed.instrument.kind is InstrumentKind.INDEX:
        raise refusal("UDAPI100011", path="instrumentToken", value=key)
    return listed


def number(body: Mapping[str, Any], name: str) -> Decimal:
    value = body.get(name)
    try:
        parsed = Decimal(str(value if value is not None else 0))
    except InvalidOperation:
        raise refusal("UDAPI100036", f"'{name}' must be a number", path=name, value=value) from None
    if not parsed.is_finite():
        raise refusal("UDAPI100036", f"'{name}' must be a number", path=name, value=str(value))
    return parsed


def whole(value: object, code: str, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise refusal(code, path=path, value=value)
    return value


def _terms(body: Mapping[str, Any], quantity: int, settings: VenueSettings) -> Terms:
    order_type = _one_of(body, "order_type", ORDER_TYPES, "UDAPI1004", "UDAPI1056")
    validity = _one_of(body, "validity", _VALIDITIES, "UDAPI1007", "UDAPI1055")
    price, trigger = number(body, "price"), number(body, "trigger_price")
    if order_type in ("LIMIT", "SL") and price <= 0:
        raise refusal("UDAPI1008", path="price", value=float(price))
    if order_type in ("SL", "SL-M") and trigger <= 0:
        raise refusal("UDAPI1036", path="triggerPrice", value=float(trigger))
    return Terms(
        quantity=quantity,
        order_type=order_type,
        validity=validity,
        price=price if order_type in ("LIMIT", "SL") else Decimal(0),
        trigger_price=trigger if order_type in ("SL", "SL-M") else Decimal(0),
        disclosed_quantity=int(number(body, "disclosed_quantity")),
        protection=_protection(body, order_type, settings),
    )


def _protection(body: Mapping[str, Any], order_type: str, settings: VenueSettings) -> Decimal:
    """In percent; 0 where none is asked for. -1 asks for the exchange's own, as leaving it out does."""
    protection = number(body, "market_protection")
    if protection > PROTECTION_MAX:
        raise refusal("UDAPI1159", path="marketProtection", value=float(protection))
    if protection < 0 and protection != -1:
        raise refusal("UDAPI1160", path="marketProtection", value=float(protection))
    if order_type in ("MARKET", "SL-M") and settings.market_orders == "refused" and protection <= 0:
        raise refusal("UDAPI1158")
    return max(protection, Decimal(0))


def _slices(quantity: int, listed: Listed) -> tuple[int, ...]:
    freeze = int(listed.instrument.freeze_quantity or quantity)
    count = ceil(quantity / freeze)
    if count > SLICES_MAX:
        raise refusal("UDAPI1118", path="quantity", value=quantity)
    return tuple(min(freeze, quantity - number * freeze) for number in range(count))


def _one_of(body: Mapping[str, Any], name: str, allowed: tuple[str, ...], missing: str, invalid: str) -> str:
    value = body.get(name)
    if value is None or value == "":
        raise refusal(missing, path=name, value=value)
    if value not in allowed:
        raise refusal(invalid, path=name, value=value)
    return str(value)
