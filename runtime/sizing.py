"""How much to trade, and in what portions. Decimal in, Decimal out; always rounded down to whole lots."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from runtime.market import Instrument
from runtime.session import Sizing, SizingMethod

_ZERO = Decimal(0)


def position_size(
    sizing: Sizing, *, capital: Decimal, price: Decimal, stop: Decimal | None, instrument: Instrument, atr: Decimal | None = None
) -> Decimal:
    """Quantity in units, a multiple of the lot; zero when capital, risk or the minimum notional allow none.

    - `fixed`: the subscription's own quantity.
    - `fixed_risk`: the loss at the stop is capital × risk_per_trade whatever the leverage; without a stop the quantity is
      capital × risk_per_trade × leverage / price.
    - `leveraged_risk`: (capital × risk_per_trade / stop distance) × leverage. This loses LEVERAGE × risk_per_trade at the stop:
      at leverage 10 a risk of 2 % costs 20 % of the capital. Without a stop as `fixed_risk`.
    - `volatility_target`: capital × risk_per_trade / (atr × atr_multiple), so that a move of that many average true ranges
      costs the risk; zero without an `atr` (of the instrument, in its price).

    But for `fixed` the notional is at most capital × leverage. The average true range is Wilder's, New Concepts in Technical
    Trading Systems (1978); the fixed fraction of the capital at risk is Vince's, The Mathematics of Money Management (1992).
    """
    match sizing.method:
        case SizingMethod.FIXED:
            wanted = sizing.quantity or _ZERO
        case SizingMethod.FIXED_RISK:
            wanted = _capped(_risked(sizing, capital, price, stop), sizing, capital, price)
        case SizingMethod.LEVERAGED_RISK:
            factor = sizing.leverage if _is_distant(stop, price) else 1
            wanted = _capped(_risked(sizing, capital, price, stop) * factor, sizing, capital, price)
        case SizingMethod.VOLATILITY_TARGET:
            move = (atr or _ZERO) * sizing.atr_multiple
            wanted = _capped(capital * sizing.risk_per_trade / move, sizing, capital, price) if move > 0 else _ZERO
    quantity = round_down(wanted, instrument.lot_size)
    return quantity if quantity * price >= instrument.min_notional else _ZERO


def round_down(quantity: Decimal, step: Decimal) -> Decimal:
    return (quantity / step).to_integral_value(rounding=ROUND_FLOOR) * step


def largest_order(instrument: Instrument) -> Decimal | None:
    """What one order may hold: the freeze quantity in whole lots, at least one; None where the venue sets no limit."""
    if instrument.freeze_quantity is None:
        return None
    return max(instrument.lot_size, round_down(instrument.freeze_quantity, instrument.lot_size))


def orders_needed(quantity: Decimal, instrument: Instrument) -> int:
    largest = largest_order(instrument)
    return 1 if largest is None else int((quantity / largest).to_integral_value(rounding=ROUND_CEILING))


def _risked(sizing: Sizing, capital: Decimal, price: Decimal, stop: Decimal | None) -> Decimal:
    risk = capital * sizing.risk_per_trade
    if stop is None or stop == price:
        return risk * sizing.leverage / price
    return risk / abs(price - stop)


def _is_distant(stop: Decimal | None, price: Decimal) -> bool:
    return stop is not None and stop != price


def _capped(quantity: Decimal, sizing: Sizing, capital: Decimal, price: Decimal) -> Decimal:
    return min(quantity, capital * sizing.leverage / price)
