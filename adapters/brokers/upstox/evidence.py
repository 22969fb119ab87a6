"""When the books prove that an order never existed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from adapters.brokers.upstox.rows import OrderRow, PositionRow, TradeRow

_ZERO = Decimal(0)


def explains_everything(key: str, orders: Sequence[OrderRow], trades: Iterable[TradeRow], positions: Iterable[PositionRow]) -> bool:
    """Whether the visible orders account for every trade and position change of today in the contract `key`.

    A trade of an order that the book does not show, or a position that has moved further than the orders say, means that
    the book lags: then nothing is proved.
    """
    ours = [row for row in orders if row.instrument_token == key]
    known = {row.order_id for row in orders}
    if any(trade.instrument_token == key and trade.order_id not in known for trade in trades):
        return False
    bought, sold = _filled(ours, "BUY"), _filled(ours, "SELL")
    held = [row for row in positions if row.instrument_token == key]
    day_bought = sum((row.day_buy_quantity or _ZERO for row in held), _ZERO)
    day_sold = sum((row.day_sell_quantity or _ZERO for row in held), _ZERO)
    return day_bought <= bought and day_sold <= sold


def _filled(rows: Iterable[OrderRow], side: str) -> Decimal:
    return sum((row.filled for row in rows if row.transaction_type == side), _ZERO)
