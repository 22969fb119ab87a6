"""What a venue is asked to be. What the vendor does not document is a setting here, marked [U]."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Literal

import msgspec

from adapters.simulated.config import BANKNIFTY, SimulationConfig


class StaticAddresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses from which orders are taken; without any, from everywhere."""

    primary: str | None = None
    secondary: str | None = None


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One customer. Tokens and secrets left out are derived from `user_id`, so that they are the same in every run.

    `funds` in rupees. The access token is good until the next morning's expiry, the other two for a year.
    """

    user_id: str
    client_id: str = ""
    client_secret: str = ""
    access_token: str = ""
    extended_token: str = ""
    analytics_token: str = ""
    funds: Decimal = Decimal(1_000_000)
    static_addresses: StaticAddresses = StaticAddresses()
    algo_names: tuple[str, ...] = ()
    """Exchange-registered algorithms; with one of them in `X-Algo-Name` the order limit is `order_rates_registered`."""

    @classmethod
    def numbered(cls, number: int) -> AccountSettings:
        return cls(user_id=f"U{number}")


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `requests` in any `seconds` of venue time."""

    requests: int
    seconds: int


DEFAULT_SIMULATION = SimulationConfig()
ORDER_RATES = (Rate(requests=10, seconds=1), Rate(requests=500, seconds=60), Rate(requests=2000, seconds=1800))
REGISTERED_ORDER_RATES = (Rate(requests=50, seconds=1),)  # the longer windows are not documented [U]
READ_RATES = (Rate(requests=50, seconds=1), Rate(requests=500, seconds=60), Rate(requests=2000, seconds=1800))
MULTI_ORDER_RATES = (Rate(requests=4, seconds=1),)  # documented to be lower than the others, the number is not [U]

SUBSCRIPTION_LIMITS = {"ltpc": (5000, 2000), "option_greeks": (3000, 2000), "full": (2000, 1500), "full_d30": (50, 50)}


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`speed`: venue seconds per wall second, from the first connection or request on; None: the clock moves only when told.

    `start` is the venue's first moment, by default the open of the first session.
    """

    simulations: tuple[SimulationConfig, ...] = (DEFAULT_SIMULATION,)
    start: datetime | None = None
    until: datetime | None = None
    """Where a clock that runs by itself stops; None: never, one day follows the other."""
    speed: float | None = None
    hold: bool = False
    """The clock goes a second a second until `UpstoxVenue.begin`, then by `speed`."""
    accounts: tuple[AccountSettings, ...] = (AccountSettings.numbered(1),)

    strict_hosts: bool = True
    """Place, modify and cancel on the order host only, everything else on the other one only [U]."""

    order_rates: tuple[Rate, ...] = ORDER_RATES
    order_rates_registered: tuple[Rate, ...] = REGISTERED_ORDER_RATES
    multi_order_rates: tuple[Rate, ...] = MULTI_ORDER_RATES
    read_rates: tuple[Rate, ...] = READ_RATES
    orders_counted_together: bool = True
    """Whether place, modify, cancel and GTT calls share one limit, or have one each [U]."""

    rate_limits: bool = True

    token_expiry: time = time(3, 30)
    """IST, of the morning after the login [U: the exact minute]."""

    analytics_refusal: tuple[int, str] = (401, "UDAPI100067")
    """Status and code where an analytics token is not enough [U]."""

    service_hours: tuple[time, time] | None = None
    """IST hours in which orders are taken (documented: 05:30 to 24:00) and funds are shown; None: always."""

    acceptance_seconds: float = 0.0
    """Venue time from the answer until the exchange has the order."""

    cancel_seconds: float = 0.0
    """Venue time an order stays in `cancel pending`; it can be filled meanwhile."""

    max_fill_quantity: int | None = None
    """Units one order may fill on one quote, as in `runtime.paper.PaperExchange`."""

    market_orders: Literal["plain", "protected", "refused"] = "protected"
    """A MARKET order without `market_protection`: filled at any price, limited to the exchange's slab, or refused with UDAPI1158 [U]."""

    short_margin_percent: Decimal = Decimal(12)
    """Of the notional, asked for sold options and for futures: a stand-in for SPAN and exposure margin."""

    square_off: time | None = None
    """IST; when set, positions and orders of product I are closed then, as the broker's risk desk does [U: the minute]."""

    market_keys_max: int = 500
    greeks_keys_max: int = 50
    subscription_limits: dict[str, tuple[int, int]] = msgspec.field(default_factory=SUBSCRIPTION_LIMITS.copy)
    """Keys per mode when it is the only one in use, and when it is not. `full_d30` [U]."""

    feed_connections_max: int = 2
    """Market data sockets per account; one more is refused with 403 [U: documented is one per user and app]."""

    plus_plan: bool = True
    """Whether `full_d30` is part of the accounts' plan."""

    history_days: int = 400
    """How far back before the clock's date the venue has candles; the real one has minutes from 2022 and days from 2000."""

    intraday_shows_forming: bool = True
    """Whether the intraday answer ends with the bar that is not closed yet [U]."""

    holidays: dict[date, str] = {}
    """Days without a session and their names, besides weekends; a date must also be in the simulations' `special_sessions`."""

    journal_requests_max: int = 100_000

    @property
    def underlyings(self) -> tuple[str, ...]:
        return tuple(simulation.underlying for simulation in self.simulations)


def simple(
    seed: int = 7, *, sessions: tuple[date, ...] = (date(2026, 11, 20),), users: int = 1, speed: float | None = None
) -> VenueSettings:
    """A venue that lists Bank Nifty, its futures and options. Reads are limited only where the clock runs by itself: a client that
    polls while it stands still would use up a second's calls and never see the next second.
    """
    return VenueSettings(
        simulations=(SimulationConfig(underlying=BANKNIFTY, seed=seed, sessions=sessions),),
        accounts=tuple(AccountSettings.numbered(number) for number in range(1, users + 1)),
        speed=speed,
        read_rates=READ_RATES if speed is not None else (),
    )
