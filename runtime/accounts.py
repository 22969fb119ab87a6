"""What a broker says of an account: positions, funds, and whether it is ready to trade."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from runtime.market import Instrument
from runtime.orders import Order

_ZERO = Decimal(0)


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the trader knows it after a restart: what it has seen filled, and whether it has asked to cancel."""

    order: Order
    filled: Decimal = _ZERO
    cancel_requested: bool = False


class AccountPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the account holds of one contract, whoever bought it. `quantity` in units, negative when sold short.

    0: it was traded today and nothing is left. `average_price` is that of the open quantity, `last_price` the market's;
    None where the broker does not say.
    """

    instrument: Instrument
    quantity: Decimal
    average_price: Decimal | None = None
    last_price: Decimal | None = None


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


class AccountReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The broker's word on contracts of which it counts another quantity than the trader does. Others are not mentioned."""

    ts: datetime
    positions: tuple[AccountPosition, ...]
