"""What a trade costs, in Decimal, as of its date.

A schedule is named in a session's configuration: `indian_options`, `flat:RATE` (RATE is a fraction of notional per side,
so `flat:0.0003` is 0.03 %), or `none`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import TypeAlias

import msgspec

from runtime.errors import InvalidConfig
from runtime.signals import OrderSide

ZERO = Decimal(0)
PAISA = Decimal("0.01")
_NOTHING = Decimal("0.00")

Rates: TypeAlias = Sequence[tuple[date, Decimal]]
"""(first day, rate as a fraction), ascending; the first row also serves every day before it."""

INDIAN_OPTIONS = "indian_options"
NO_FEES = "none"
_FLAT = "flat:"


class FeeBreakdown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Account currency, each component rounded to 0.01 half up, as a contract note shows it."""

    brokerage: Decimal = ZERO
    transaction_tax: Decimal = ZERO
    exchange_charge: Decimal = ZERO
    regulator_fee: Decimal = ZERO
    stamp_duty: Decimal = ZERO
    service_tax: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.brokerage + self.transaction_tax + self.exchange_charge + self.regulator_fee + self.stamp_duty + self.service_tax


class FeeSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are fractions of the premium turnover (price × quantity); `brokerage` is an amount per order.

    `transaction_tax` is due on sells, `stamp_duty` on buys, `service_tax` on brokerage + exchange charge + regulator's fee.
    """

    brokerage: Decimal = ZERO
    commission: Decimal = ZERO
    transaction_tax: Rates = ()
    exchange_charge: Rates = ()
    regulator_fee: Rates = ()
    stamp_duty: Rates = ()
    service_tax: Rates = ()

    def on(self, day: date) -> DayRates:
        return DayRates(
            brokerage=self.brokerage,
            commission=self.commission,
            transaction_tax=_rate(self.transaction_tax, day),
            exchange_charge=_rate(self.exchange_charge, day),
            regulator_fee=_rate(self.regulator_fee, day),
            stamp_duty=_rate(self.stamp_duty, day),
            service_tax=_rate(self.service_tax, day),
            is_flat=not (self.transaction_tax or self.exchange_charge or self.regulator_fee or self.stamp_duty or self.service_tax),
        )


class DayRates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A schedule as of one day. `is_flat`: it knows no charge but brokerage and commission."""

    brokerage: Decimal
    commission: Decimal
    transaction_tax: Decimal
    exchange_charge: Decimal
    regulator_fee: Decimal
    stamp_duty: Decimal
    service_tax: Decimal
    is_flat: bool


def _rates(*rows: tuple[str, str]) -> Rates:
    return tuple((date.fromisoformat(day), Decimal(percent) / 100) for day, percent in rows)


INDIAN_OPTIONS_SCHEDULE = FeeSchedule(
    brokerage=Decimal(20),
    transaction_tax=_rates(
        ("2008-06-01", "0.017"), ("2016-06-01", "0.05"), ("2023-04-01", "0.0625"), ("2024-10-01", "0.1"), ("2026-04-01", "0.15")
    ),
    exchange_charge=_rates(("2021-01-01", "0.053"), ("2023-04-01", "0.0505"), ("2024-04-01", "0.0495"), ("2024-10-01", "0.03503")),
    regulator_fee=_rates(("2012-01-01", "0.0001")),
    stamp_duty=_rates(("2012-01-01", "0"), ("2020-07-01", "0.003")),
    service_tax=_rates(("2012-01-01", "15"), ("2017-07-01", "18")),
)
"""Index options on NSE through a discount broker. Percent of premium, with the day each took effect.

Sources: securities transaction tax on the sale of an option: Finance Acts 2008, 2016 (0.05 %), 2023 (0.0625 %),
No. 2 of 2024 (0.1 %) and 2026 (0.15 %); exchange charge: NSE circulars on transaction charges (one slab for all members
since 2024-10-01 under SEBI's true-to-label rule); SEBI turnover fee: 10 rupees per crore; stamp duty: uniform rates of the
amended Indian Stamp Act since 2020-07-01 (the states' own rates before are left out); goods and services tax 18 % since
2017-07-01, service tax before; brokerage: the usual flat 20 rupees per executed order.
"""

_NO_SCHEDULE = FeeSchedule()


@cache
def fee_schedule(name: str) -> FeeSchedule:
    """The schedule a configuration names.

    Raises:
        InvalidConfig: no such schedule, or a rate that is not a fraction between 0 and 1.
    """
    if name == INDIAN_OPTIONS:
        return INDIAN_OPTIONS_SCHEDULE
    if name == NO_FEES:
        return _NO_SCHEDULE
    if name.startswith(_FLAT):
        return FeeSchedule(commission=_fraction(name))
    raise InvalidConfig("fees", name, f"use {INDIAN_OPTIONS}, {NO_FEES}, or {_FLAT}RATE such as flat:0.0003")


def fees(schedule: FeeSchedule, side: OrderSide, price: Decimal, quantity: Decimal, *, on: date, first_fill: bool = True) -> FeeBreakdown:
    """Fees of one fill on the exchange-local day `on`.

    Brokerage is per order, not per fill: only the `first_fill` of an order pays it.
    """
    return _fees(schedule.on(on), side, price * quantity, first_fill=first_fill)


def order_fees(name: str, side: OrderSide, price: Decimal, quantity: Decimal, *, on: date, first_fill: bool) -> Decimal:
    """Total of `fees` under the schedule called `name`."""
    if name == NO_FEES:
        return _NOTHING
    rates, notional = _rates_on(name, on), price * quantity
    return _brokerage(rates, notional, first_fill) if rates.is_flat else _fees(rates, side, notional, first_fill=first_fill).total


@lru_cache(maxsize=64)  # every fill of a day asks for the same ones
def _rates_on(name: str, day: date) -> DayRates:
    return fee_schedule(name).on(day)


def _fees(rates: DayRates, side: OrderSide, notional: Decimal, *, first_fill: bool) -> FeeBreakdown:
    brokerage = _brokerage(rates, notional, first_fill)
    if rates.is_flat:
        return FeeBreakdown(brokerage=brokerage)
    exchange_charge = _paisa(notional * rates.exchange_charge)
    regulator_fee = _paisa(notional * rates.regulator_fee)
    return FeeBreakdown(
        brokerage=brokerage,
        transaction_tax=_paisa(notional * rates.transaction_tax) if side is OrderSide.SELL else ZERO,
        exchange_charge=exchange_charge,
        regulator_fee=regulator_fee,
        stamp_duty=_paisa(notional * rates.stamp_duty) if side is OrderSide.BUY else ZERO,
        service_tax=_paisa((brokerage + exchange_charge + regulator_fee) * rates.service_tax),
    )


def _brokerage(rates: DayRates, notional: Decimal, first_fill: bool) -> Decimal:
    charged = notional * rates.commission
    return (charged + rates.brokerage if first_fill else charged).quantize(PAISA, ROUND_HALF_UP)


def _rate(rates: Rates, on: date) -> Decimal:
    if not rates:
        return ZERO
    return rates[max(0, bisect_right(rates, on, key=_first_day) - 1)][1]


def _first_day(row: tuple[date, Decimal]) -> date:
    return row[0]


def _paisa(amount: Decimal) -> Decimal:
    return amount.quantize(PAISA, rounding=ROUND_HALF_UP)


def _fraction(name: str) -> Decimal:
    try:
        rate = Decimal(name.removeprefix(_FLAT))
    except InvalidOperation:
        rate = Decimal("NaN")
    if not (rate.is_finite() and 0 <= rate < 1):
        raise InvalidConfig("fees", name, "the rate is a fraction of notional from 0 to below 1, such as flat:0.0003")
    return rate
