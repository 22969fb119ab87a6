"""Net positions per contract and product, as `/v2/portfolio/short-term-positions` shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tests.venues.upstox.listing import Listed

_ZERO = Decimal(0)


class Position(msgspec.Struct, kw_only=True):
    """Quantities in units, values in rupees; `overnight` is carried from sessions before, at its own cost."""

    listed: Listed
    product: str
    overnight: int = 0
    overnight_value: Decimal = _ZERO
    bought: int = 0
    bought_value: Decimal = _ZERO
    sold: int = 0
    sold_value: Decimal = _ZERO

    @property
    def quantity(self) -> int:
        return self.overnight + self.bought - self.sold

    def apply(self, side: str, quantity: int, price: Decimal) -> None:
        if side == "BUY":
            self.bought += quantity
            self.bought_value += quantity * price
        else:
            self.sold += quantity
            self.sold_value += quantity * price

    def carry(self) -> None:
        """Into the next session: what is left keeps its average price, the day's columns start at zero."""
        average = self.average_price
        self.overnight, self.bought, self.sold = self.quantity, 0, 0
        self.overnight_value, self.bought_value, self.sold_value = abs(self.overnight) * average, _ZERO, _ZERO

    @property
    def buys(self) -> tuple[int, Decimal]:
        """Units and value bought in all, carried long ones included."""
        carried = self.overnight > 0
        return self.bought + (self.overnight if carried else 0), self.bought_value + (self.overnight_value if carried else _ZERO)

    @property
    def sells(self) -> tuple[int, Decimal]:
        carried = self.overnight < 0
        return self.sold - (self.overnight if carried else 0), self.sold_value + (self.overnight_value if carried else _ZERO)

    @property
    def average_price(self) -> Decimal:
        """Of the open side; 0 when flat."""
        if not self.quantity:
            return _ZERO
        return _average(self.buys if self.quantity > 0 else self.sells)

    @property
    def realised(self) -> Decimal:
        closed = min(self.buys[0], self.sells[0])
        return closed * (_average(self.sells) - _average(self.buys))

    def unrealised(self, last_price: Decimal) -> Decimal:
        return self.quantity * (last_price - self.average_price)

    def row(self, last_price: Decimal, close_price: float) -> dict[str, Any]:
        carried_long = self.overnight > 0
        unrealised = self.unrealised(last_price)
        return {
            "exchange": self.listed.exchange,
            "multiplier": 1.0,
            "value": _money(self.buys[1] - self.sells[1]),
            "pnl": _money(self.realised + unrealised),
            "product": self.product,
            "instrument_token": self.listed.key,
            "average_price": _money(self.average_price),
            "buy_value": _money(self.buys[1]),
            "overnight_quantity": self.overnight,
            "day_buy_value": _money(self.bought_value),
            "day_buy_price": _money(_average((self.bought, self.bought_value))),
            "overnight_buy_amount": _money(self.overnight_value if carried_long else _ZERO),
            "overnight_buy_quantity": self.overnight if carried_long else 0,
            "day_buy_quantity": self.bought,
            "day_sell_value": _money(self.sold_value),
            "day_sell_price": _money(_average((self.sold, self.sold_value))),
            "overnight_sell_amount": _money(_ZERO if carried_long else self.overnight_value),
            "overnight_sell_quantity": 0 if carried_long else -self.overnight,
            "day_sell_quantity": self.sold,
            "quantity": self.quantity,
            "last_price": float(last_price),
            "unrealised": _money(unrealised),
            "realised": _money(self.realised),
            "sell_value": _money(self.sells[1]),
            "trading_symbol": self.listed.symbol,
            "tradingsymbol": self.listed.symbol,
            "close_price": close_price,
            "buy_price": _money(_average(self.buys)),
            "sell_price": _money(_average(self.sells)),
        }

    def update(self) -> dict[str, Any]:
        """The message of the portfolio stream, which knows no last price."""
        row = self.row(self.average_price, 0.0)
        left_out = {"last_price", "close_price", "pnl", "unrealised", "realised", "value", "trading_symbol", "tradingsymbol"}
        return {
            "update_type": "position",
            "instrument_key": self.listed.key,
            **{name: value for name, value in row.items() if name not in left_out},
            "exchange": self.listed.segment,
        }


def _average(total: tuple[int, Decimal]) -> Decimal:
    quantity, value = total
    return value / quantity if quantity else _ZERO


def _money(value: Decimal) -> float:
    return round(float(value), 2)
