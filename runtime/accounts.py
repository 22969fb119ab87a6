"""What a broker says of an account: positions, funds, and whether it is ready to trade."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec

from runtime.market import Instrument
from runtime.orders import Order

_ZERO = Decimal(0)


class Capability(StrEnum):
    """What brokers differ in. One that lacks something says why (`Broker.lacks`); the contract suites hold it to all the rest."""

    NETWORK = "network"
    """It is reached over a network, on which requests and answers are lost."""
    DAILY_LOGIN = "daily_login"
    """Access ends by itself, and only a person's login brings it back."""
    SIGNED_REQUESTS = "signed_requests"
    """Requests carry their time under a signature and are refused when the clocks differ."""
    RECOGNISED_REPEATS = "recognised_repeats"
    """It takes an order that comes twice under one id once."""
    ORDER_RATE = "order_rate"
    """It takes so many orders in a time."""
    ORDER_STREAM = "order_stream"
    """It tells of orders as they change, on a connection that may drop."""
    FREEZE_SLICES = "freeze_slices"
    """Larger orders than the exchange takes at once are cut up."""
    PROTECTED_MARKET = "protected_market"
    """Market orders leave as limit orders a little beyond the market."""
    OWN_ADDRESS = "own_address"
    """Each account's orders may leave by an address or a proxy of its own."""
    ALGO_NAME = "algo_name"
    """Orders may carry the name under which the exchange has registered an algo."""


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


class BrokerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One request that changes something at a broker, and what came back.

    `request` is its JSON value or its parameters, `answer` the bytes without access token and customer's id; no header of either.
    Where no answer came, `http_status` is None and `failure` says why. `duration_ms`: wall time from sending to the end of the answer.
    `order_id` is ours.
    """

    broker: str
    operation: str
    order_id: str | None
    request: object
    answer: bytes | None
    http_status: int | None
    failure: str | None
    duration_ms: float


OnBrokerMessage: TypeAlias = Callable[[BrokerMessage], None]
