"""What the broker's risk desk and the exchange refuse after the gateway has taken an order, and what an account can afford."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from runtime.market import Instrument, InstrumentKind, Quote
from tests.venues.upstox.listing import whole_lots
from tests.venues.upstox.orders import Order
from tests.venues.upstox.positions import Position
from tests.venues.upstox.settings import VenueSettings

_HUNDRED = Decimal(100)
_OPTION_SLABS = ((Decimal(10), Decimal(5)), (Decimal(100), Decimal(3)), (Decimal(500), Decimal(2)), (Decimal("Infinity"), Decimal(1)))
_OTHER_SLABS = ((Decimal(100), Decimal(2)), (Decimal(500), Decimal(1)), (Decimal("Infinity"), Decimal("0.5")))
"""Market price protection, percent of the last price by its size, as brokers publish the exchange's slabs."""


def fault(order: Order, quote: Quote | None, switched_off: Iterable[str]) -> str | None:
    """Why an order that is well formed is rejected all the same, except for its margin."""
    instrument, terms = order.listed.instrument, order.terms
    if order.listed.segment in switched_off:
        return f"RMS:Blocked for {order.listed.segment} by the kill switch"
    if not whole_lots(instrument, terms.quantity):
        return f"Order quantity should be in multiple of lot size {instrument.lot_size}"
    if instrument.freeze_quantity is not None and terms.quantity > instrument.freeze_quantity:
        return f"16556 : Quantity {terms.quantity} is above the freeze quantity {instrument.freeze_quantity}"
    for price in (terms.price, terms.trigger_price):
        if price % instrument.tick_size:
            return f"16283 : The price {price} is not a multiple of the tick size {instrument.tick_size}"
    if quote is not None and terms.trigger_price and not order.triggered:
        last = Decimal(repr(quote.price))
        passed = last >= terms.trigger_price if order.side == "BUY" else last <= terms.trigger_price
        if passed:
            return f"17071 : The trigger price {terms.trigger_price} is already passed by the last price {last}"
    return None


def protected_price(order: Order, quote: Quote) -> Decimal:
    """The limit a protected market order becomes: the last price moved by its percentage, or by the exchange's slab, on a tick."""
    instrument, last = order.listed.instrument, Decimal(repr(quote.price))
    slabs = _OPTION_SLABS if instrument.kind is InstrumentKind.OPTION else _OTHER_SLABS
    percent = order.terms.protection or next(percent for below, percent in slabs if last < below)
    buys = order.side == "BUY"
    moved = last * (1 + percent / _HUNDRED) if buys else last * (1 - percent / _HUNDRED)
    ticks = (moved / instrument.tick_size).to_integral_value(ROUND_CEILING if buys else ROUND_FLOOR)
    return max(ticks * instrument.tick_size, instrument.tick_size)


def margin(instrument: Instrument, quantity: int, price: Decimal, settings: VenueSettings) -> Decimal:
    """Rupees to hold `quantity` (negative: sold): the premium of a bought option, a share of the notional otherwise."""
    if instrument.kind is InstrumentKind.OPTION and quantity > 0:
        return quantity * price
    basis = Decimal(repr(instrument.strike)) if instrument.strike is not None else price
    return abs(quantity) * basis * settings.short_margin_percent / _HUNDRED


def order_margin(order: Order, held: int, quote: Quote | None, settings: VenueSettings) -> Decimal:
    """What the rest of an order asks for beyond `held`, the net position it may first reduce."""
    last = Decimal(repr(quote.price)) if quote is not None else Decimal(0)
    price = order.terms.price or order.terms.trigger_price or last
    signed = order.remaining if order.side == "BUY" else -order.remaining
    reduces = min(abs(held), abs(signed)) if held * signed < 0 else 0
    opened = signed - (reduces if signed > 0 else -reduces)
    return margin(order.listed.instrument, opened, price, settings) if opened else Decimal(0)


def position_margin(position: Position, settings: VenueSettings) -> Decimal:
    return margin(position.listed.instrument, position.quantity, position.average_price, settings) if position.quantity else Decimal(0)
