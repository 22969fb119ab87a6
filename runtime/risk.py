"""Limits per user. Pure checks over the engine's own state; entries are refused, exits are only ever delayed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from runtime.session import RiskLimits

ORDER_WINDOW = timedelta(seconds=1)
_HUNDRED = Decimal(100)


class OrderWindow(msgspec.Struct, kw_only=True):
    """Times of the order messages of the last second (submits, modifies, cancels) and their number today.

    A true moving window: any half-open second holds at most the limit. Part of the engine's state, so it survives restarts.
    A time before the last one noted (a broker's clock behind ours) counts as that one, so that the window never runs backwards.
    """

    recent: list[datetime] = []
    today: int = 0

    def room_at(self, now: datetime, limit: int) -> datetime:
        """The earliest time, `now` or later, at which one more message stays within `limit` a second."""
        if len(self.recent) < limit:
            return now
        self._forget_before(now)
        if len(self.recent) < limit:
            return now
        return self.recent[-limit] + ORDER_WINDOW

    def record(self, now: datetime) -> None:
        recent = self.recent
        if recent:
            self._forget_before(now)
        recent.append(max(now, recent[-1]) if recent else now)
        self.today += 1

    def _forget_before(self, now: datetime) -> None:
        horizon = now - ORDER_WINDOW
        while self.recent and self.recent[0] <= horizon:
            self.recent.pop(0)


class Exposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Positions with all that working entries may still add: of an UNKNOWN order too, until it is settled.

    `notional` at entry prices; `heat` is what is lost if every stop is hit, at entry prices and before fees.
    """

    positions: int
    notional: Decimal
    heat: Decimal


def loss_at_stop(*, price: Decimal, stop: Decimal | None, quantity: Decimal, direction: int) -> Decimal:
    """Of `quantity` entered at `price`; never below zero, and the whole notional without a stop."""
    if stop is None:
        return price * quantity
    return max(Decimal(0), (price - stop) * direction * quantity)


def entry_denied(
    limits: RiskLimits, *, held: Exposure, added: Exposure, messages: int, capital: Decimal, orders: OrderWindow, now: datetime
) -> str | None:
    """Why a new entry of so many order `messages` would break a limit, or None. The text names the limit and both values."""
    if limits.max_open_positions is not None and held.positions >= limits.max_open_positions:
        return f"max_open_positions {limits.max_open_positions}, open {held.positions}"
    if orders.today + messages > limits.max_orders_per_day:
        return f"max_orders_per_day {limits.max_orders_per_day}, sent {orders.today}, wanted {messages} more"
    if orders.room_at(now, limits.max_orders_per_second) > now:
        return f"max_orders_per_second {limits.max_orders_per_second}"
    if limits.max_notional is not None and held.notional + added.notional > limits.max_notional:
        return f"max_notional {limits.max_notional}, wanted {held.notional + added.notional}"
    if limits.max_portfolio_heat is not None and held.heat + added.heat > limits.max_portfolio_heat * capital:
        return f"max_portfolio_heat {limits.max_portfolio_heat} of {capital}, wanted {held.heat + added.heat} at the stops"
    return None


def outside_collar(limits: RiskLimits, *, price: Decimal, last: Decimal) -> str | None:
    """Why `price` is too far from the `last` trade to send an order at market, or None."""
    if limits.price_collar_percent is None or abs(price - last) * _HUNDRED <= last * limits.price_collar_percent:
        return None
    return f"price_collar_percent {limits.price_collar_percent}: {price} against the last trade at {last}"


def loss_limit_reached(limits: RiskLimits, *, realised: Decimal, open_pnl: Decimal) -> bool:
    return limits.max_daily_loss is not None and realised + open_pnl <= -limits.max_daily_loss
