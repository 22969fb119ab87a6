"""What a broker says of an account: positions, funds, and whether it is ready to trade."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from runtime.market import Instrument
from runtime.orders import Order

_ZERO = Decimal(0)


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the trader knows it after a restart. `cost` is the sum of price × quantity of what it has seen filled."""

    order: Order
    filled: Decimal = _ZERO
    cost: Decimal = _ZERO
    cancel_requested: bool = False


class AccountPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the account holds of one contract, whoever bought it. `quantity` in units, negative when sold short.

    `average_price` is that of the open quantity, None where the broker does not say.
    """

    instrument: Instrument
    quantity: Decimal
    average_price: Decimal | None = None


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """In the account's currency. `used` is blocked as margin."""

    available: Decimal
    used: Decimal
    currency: str = "INR"


class PreflightCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must be right before an account trades. `detail` says what was found and, where it is wrong, what to do."""

    name: str
    passed: bool
    detail: str


class AccountReport(msgspec.Struct, frozen=True, kw_only=True):
    """All positions of an account at `ts`; a contract that is absent is not held."""

    ts: datetime
    positions: tuple[AccountPosition, ...]
