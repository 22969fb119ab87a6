"""Limits per user. Pure checks over the engine's own state; entries are refused, exits are only ever delayed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from runtime.session import RiskLimits

ORDER_WINDOW = timedelta(seconds=1)


class OrderWindow(msgspec.Struct, kw_only=True):
    """Times of the order messages of the last second (submits, modifies, cancels) and their number today.

    A true moving window: any half-open second holds at most the limit. Part of the engine's state, so it survives restarts.
    """

    recent: list[datetime] = []
    today: int = 0

    def room_at(self, now: datetime, limit: int) -> datetime:
        """The earliest time, `now` or later, at which one more message stays within `limit` a second."""
        self._forget_before(now)
        if len(self.recent) < limit:
            return now
        return self.recent[-limit] + ORDER_WINDOW

    def record(self, now: datetime) -> None:
        self._forget_before(now)
        self.recent.append(now)
        self.today += 1

    def _forget_before(self, now: datetime) -> None:
        horizon = now - ORDER_WINDOW
        while self.recent and self.recent[0] <= horizon:
            self.recent.pop(0)


def entry_denied(
    limits: RiskLimits, *, open_positions: int, orders: OrderWindow, now: datetime, notional: Decimal, open_notional: Decimal
) -> str | None:
    """Why a new entry would break a limit, or None. The text names the limit and both values."""
    if limits.max_open_positions is not None and open_positions >= limits.max_open_positions:
        return f"max_open_positions {limits.max_open_positions}, open {open_positions}"
    if orders.today >= limits.max_orders_per_day:
        return f"max_orders_per_day {limits.max_orders_per_day}, sent {orders.today}"
    if orders.room_at(now, limits.max_orders_per_second) > now:
        return f"max_orders_per_second {limits.max_orders_per_second}"
    if limits.max_notional is not None and open_notional + notional > limits.max_notional:
        return f"max_notional {limits.max_notional}, wanted {open_notional + notional}"
    return None


def loss_limit_reached(limits: RiskLimits, *, realised: Decimal, open_pnl: Decimal) -> bool:
    return limits.max_daily_loss is not None and realised + open_pnl <= -limits.max_daily_loss
