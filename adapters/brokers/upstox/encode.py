"""Our orders in Upstox's words. Market orders leave as limit orders a little beyond the market: raw ones are barred for algos."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import ceil
from typing import Any

from runtime.errors import BrokerRefused, RefusalReason
from runtime.market import Instrument, InstrumentKind
from runtime.orders import Order, OrderType
from runtime.signals import OrderSide

SLICES_MAX = 8
"""Slices of one order leave together, and each counts against the order rate."""

_OPTION_SLABS = ((Decimal(10), Decimal(5)), (Decimal(100), Decimal(3)), (Decimal(500), Decimal(2)))
_OPTION_BEYOND = Decimal(1)
_OTHER_SLABS = ((Decimal(100), Decimal(2)), (Decimal(500), Decimal(1)))
_OTHER_BEYOND = Decimal("0.5")
_HUNDRED, _ZERO = Decimal(100), Decimal(0)


def protection_percent(kind: InstrumentKind, price: Decimal) -> Decimal:
    """How far beyond the last price a market order may go: the slabs of market price protection that Indian brokers publish."""
    slabs, beyond = (_OPTION_SLABS, _OPTION_BEYOND) if kind is InstrumentKind.OPTION else (_OTHER_SLABS, _OTHER_BEYOND)
    return next((percent for below, percent in slabs if price < below), beyond)


def protected_price(instrument: Instrument, side: OrderSide, last: Decimal) -> Decimal:
    """The limit of a market order: `last` plus (BUY) or minus (SELL) its slab, on the tick inside the slab, at least one tick."""
    tick = instrument.tick_size
    distance = last * protection_percent(instrument.kind, last) / _HUNDRED
    ticks = (last + distance if side is OrderSide.BUY else last - distance) / tick
    rounding = ROUND_FLOOR if side is OrderSide.BUY else ROUND_CEILING
    return max(tick, ticks.to_integral_value(rounding=rounding) * tick)


def slices(order: Order) -> int:
    """Into how many parts the exchange's freeze quantity cuts the order."""
    freeze = order.instrument.freeze_quantity
    return 1 if freeze is None else ceil(order.quantity / freeze)


def check(order: Order) -> None:
    """Raises `BrokerRefused` for what Upstox would refuse for certain, before it costs a message."""
    instrument = order.instrument
    if instrument.kind is InstrumentKind.INDEX:
        raise BrokerRefused(f"{instrument.id} is an index: only its contracts can be traded", RefusalReason.INSTRUMENT)
    if order.quantity <= 0 or order.quantity % instrument.lot_size:
        text = f"quantity {order.quantity} is no positive multiple of the lot of {instrument.lot_size} of {instrument.id}"
        raise BrokerRefused(text, RefusalReason.LOT_SIZE)
    if slices(order) > SLICES_MAX:
        text = f"quantity {order.quantity} of {instrument.id} makes {slices(order)} slices of {instrument.freeze_quantity}"
        raise BrokerRefused(f"{text}: at most {SLICES_MAX} may leave at once", RefusalReason.FREEZE_QUANTITY)
    if order.type is OrderType.LIMIT and (order.limit_price is None or order.limit_price <= 0):
        raise BrokerRefused(f"a limit order needs a positive limit_price, not {order.limit_price}", RefusalReason.INVALID)
    if order.type is OrderType.STOP_MARKET and (order.stop_price is None or order.stop_price <= 0):
        raise BrokerRefused(f"a stop order needs a positive stop_price, not {order.stop_price}", RefusalReason.INVALID)


def place_request(order: Order, key: str, product: str, last: Decimal | None) -> dict[str, Any]:
    """Body of a place request. `last` is the last price, needed for market orders only."""
    kind, price, trigger = terms(order, last)
    return {
        "quantity": int(order.quantity),
        "product": product,
        "validity": "DAY",
        "price": price,
        "tag": order.order_id,
        "instrument_token": key,
        "order_type": kind,
        "transaction_type": str(order.side),
        "disclosed_quantity": 0,
        "trigger_price": trigger,
        "is_amo": False,
        "slice": slices(order) > 1,
    }


def modify_request(broker_order_id: str, order: Order, last: Decimal | None) -> dict[str, Any]:
    """Body of a request that gives a working order the prices of `order`; the quantity stays as it is."""
    kind, price, trigger = terms(order, last)
    return {"order_id": broker_order_id, "order_type": kind, "validity": "DAY", "price": price, "trigger_price": trigger}


def terms(order: Order, last: Decimal | None) -> tuple[str, float, float]:
    """(order type, price, trigger price). A stop becomes a stop-limit: the exchange takes no stop-market orders on options."""
    instrument = order.instrument
    match order.type:
        case OrderType.LIMIT:
            return "LIMIT", float(_on_tick(order.limit_price, instrument, order.side)), 0.0
        case OrderType.STOP_MARKET:
            trigger = _on_tick(order.stop_price, instrument, order.side)
            return "SL", float(protected_price(instrument, order.side, trigger)), float(trigger)
        case OrderType.MARKET:
            if last is None or last <= 0:
                raise BrokerRefused(f"no price of {instrument.id} is known to protect a market order with", RefusalReason.PRICE_BAND)
            return "LIMIT", float(protected_price(instrument, order.side, last)), 0.0


def _on_tick(price: Decimal | None, instrument: Instrument, side: OrderSide) -> Decimal:
    """Rounded to the trader's advantage: a buyer never pays more than he said."""
    rounding = ROUND_FLOOR if side is OrderSide.BUY else ROUND_CEILING
    ticks = ((price or _ZERO) / instrument.tick_size).to_integral_value(rounding=rounding)
    return max(instrument.tick_size, ticks * instrument.tick_size)
