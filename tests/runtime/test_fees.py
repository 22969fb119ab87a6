from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidConfig
from runtime.fees import FeeBreakdown, fee_schedule, fees, order_fees
from runtime.signals import OrderSide

OPTIONS = fee_schedule("indian_options")
TODAY = date(2026, 11, 20)

prices = st.decimals("0.05", "5000", places=2)
quantities = st.integers(1, 10_000).map(Decimal)
days = st.dates(date(2012, 1, 1), date(2030, 1, 1))


def test_a_buy_pays_brokerage_exchange_regulator_stamp_and_gst() -> None:
    """900 × 250.40 = 225,360 of premium: 20; 0.03503 % = 78.943608; 0.0001 % = 0.22536; 0.003 % = 6.7608; 18 % of 99.17 = 17.8506."""
    assert fees(OPTIONS, OrderSide.BUY, Decimal("250.40"), Decimal(900), on=TODAY) == FeeBreakdown(
        brokerage=Decimal("20.00"),
        exchange_charge=Decimal("78.94"),
        regulator_fee=Decimal("0.23"),
        stamp_duty=Decimal("6.76"),
        service_tax=Decimal("17.85"),
    )


def test_a_sell_pays_transaction_tax_instead_of_stamp() -> None:
    """30 × 412.15 = 12,364.50: 20; 0.15 % = 18.54675; 0.03503 % = 4.33128…; 0.0001 % = 0.01236…; 18 % of 24.34 = 4.3812. Sum 47.27."""
    breakdown = fees(OPTIONS, OrderSide.SELL, Decimal("412.15"), Decimal(30), on=TODAY)

    assert breakdown == FeeBreakdown(
        brokerage=Decimal("20.00"),
        transaction_tax=Decimal("18.55"),
        exchange_charge=Decimal("4.33"),
        regulator_fee=Decimal("0.01"),
        service_tax=Decimal("4.38"),
    )
    assert breakdown.total == Decimal("47.27")


@pytest.mark.parametrize(
    ("on", "tax", "charge"),
    [
        (date(2015, 1, 1), "17.00", "53.00"),
        (date(2023, 3, 31), "50.00", "53.00"),
        (date(2023, 4, 1), "62.50", "50.50"),
        (date(2024, 4, 1), "62.50", "49.50"),
        (date(2024, 9, 30), "62.50", "49.50"),
        (date(2024, 10, 1), "100.00", "35.03"),
        (date(2026, 3, 31), "100.00", "35.03"),
        (date(2026, 4, 1), "150.00", "35.03"),
    ],
)
def test_a_rate_holds_from_its_first_day_to_the_day_before_the_next(on: date, tax: str, charge: str) -> None:
    """On a premium of 100,000 a percent is 1,000."""
    breakdown = fees(OPTIONS, OrderSide.SELL, Decimal(1000), Decimal(100), on=on)
    assert (breakdown.transaction_tax, breakdown.exchange_charge) == (Decimal(tax), Decimal(charge))


def test_stamp_duty_is_uniform_since_july_2020() -> None:
    before, after = (fees(OPTIONS, OrderSide.BUY, Decimal(1000), Decimal(100), on=day) for day in (date(2020, 6, 30), date(2020, 7, 1)))
    assert (before.stamp_duty, after.stamp_duty) == (Decimal("0.00"), Decimal("3.00"))


def test_only_the_first_fill_of_an_order_pays_brokerage() -> None:
    """The later fill: 35 × 100 = 3,500: 0.03503 % = 1.22605; 0.0001 % = 0.0035; stamp 0.105 (half up 0.11); 18 % of 1.23 = 0.2214."""
    assert order_fees("indian_options", OrderSide.BUY, Decimal(100), Decimal(35), on=TODAY, first_fill=False) == Decimal("1.56")


def test_a_flat_schedule_takes_its_rate_of_notional_on_both_sides() -> None:
    for side in OrderSide:
        assert order_fees("flat:0.0003", side, Decimal("50000.5"), Decimal("0.2"), on=TODAY, first_fill=False) == Decimal("3.00")


def test_no_schedule_costs_nothing() -> None:
    assert order_fees("none", OrderSide.SELL, Decimal(100), Decimal(100), on=TODAY, first_fill=True) == 0


@pytest.mark.parametrize("name", ["", "zerodha", "flat", "flat:", "flat:x", "flat:nan", "flat:inf", "flat:-0.1", "flat:1"])
def test_an_unknown_schedule_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidConfig, match="fees = "):
        fee_schedule(name)


@given(prices, quantities, days, st.sampled_from(OrderSide), st.booleans())
def test_every_component_is_in_whole_paise_and_never_negative(
    price: Decimal, quantity: Decimal, on: date, side: OrderSide, first_fill: bool
) -> None:
    breakdown = fees(OPTIONS, side, price, quantity, on=on, first_fill=first_fill)
    parts = [getattr(breakdown, field) for field in breakdown.__struct_fields__]
    assert all(part >= 0 and part == round(part, 2) for part in parts)
    assert breakdown.total == sum(parts)


@given(prices, st.lists(quantities, min_size=2, max_size=6), days, st.sampled_from(OrderSide))
def test_an_order_filled_in_parts_costs_the_same_up_to_rounding(price: Decimal, parts: list[Decimal], on: date, side: OrderSide) -> None:
    whole = order_fees("indian_options", side, price, sum(parts, Decimal(0)), on=on, first_fill=True)
    in_parts = sum(order_fees("indian_options", side, price, part, on=on, first_fill=number == 0) for number, part in enumerate(parts))
    assert abs(whole - in_parts) <= Decimal("0.03") * (len(parts) + 1)  # five components, half a paisa each
