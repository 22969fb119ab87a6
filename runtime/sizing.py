"""How much to trade. Decimal in, Decimal out; always rounded down to whole lots."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

from runtime.market import Instrument
from runtime.session import Sizing, SizingMethod

_ZERO = Decimal(0)


def position_size(sizing: Sizing, *, capital: Decimal, price: Decimal, stop: Decimal | None, instrument: Instrument) -> Decimal:
    """Quantity in units, a multiple of the lot; zero when capital, risk or the minimum notional allow none.

    `fixed`: the subscription's own quantity. `fixed_risk`: the loss at the stop is capital × risk_per_trade whatever the
    leverage, and the notional at most capital × leverage; without a stop the quantity is
    capital × risk_per_trade × leverage / price.
    """
    if sizing.method is SizingMethod.FIXED:
        wanted = sizing.quantity or _ZERO
    else:
        wanted = _fixed_risk(sizing, capital, price, stop)
    quantity = round_down(wanted, instrument.lot_size)
    return quantity if quantity * price >= instrument.min_notional else _ZERO


def round_down(quantity: Decimal, step: Decimal) -> Decimal:
    return (quantity / step).to_integral_value(rounding=ROUND_FLOOR) * step


def _fixed_risk(sizing: Sizing, capital: Decimal, price: Decimal, stop: Decimal | None) -> Decimal:
    affordable = capital * sizing.leverage / price
    if stop is None or stop == price:
        return min(affordable, capital * sizing.risk_per_trade * sizing.leverage / price)
    return min(affordable, capital * sizing.risk_per_trade / abs(price - stop))
