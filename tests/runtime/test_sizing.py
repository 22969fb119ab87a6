from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.market import Instrument, InstrumentKind
from runtime.session import Sizing, SizingMethod
from runtime.sizing import largest_order, orders_needed, position_size

COIN = Instrument(id="BTC/USDT", kind=InstrumentKind.SPOT, lot_size=Decimal("0.0001"), tick_size=Decimal("0.01"))


@pytest.mark.parametrize("leverage", [1, 10])
def test_the_worked_example_loses_the_risk_at_the_stop_whatever_the_leverage(leverage: int) -> None:
    """Capital 10,000, risk 2 %, entry 45,000, stop 44,000: 10,000 × 0.02 / 1,000 = 0.2 units, loss 200 at the stop."""
    sizing = Sizing(risk_per_trade=Decimal("0.02"), leverage=Decimal(leverage))
    quantity = position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=Decimal(44000), instrument=COIN)
    assert quantity == Decimal("0.2")
    assert quantity * (45000 - 44000) == 200


def test_the_notional_is_capped_at_capital_times_leverage() -> None:
    """Risk alone would buy 10,000 × 0.02 / 10 = 20 units; 10,000 × 1 / 45,000 = 0.2222 units can be paid for."""
    sizing = Sizing(risk_per_trade=Decimal("0.02"))
    assert position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=Decimal(44990), instrument=COIN) == Decimal("0.2222")


def test_without_a_stop_the_notional_is_the_risked_share_times_leverage() -> None:
    """10,000 × 0.02 × 3 / 45,000 = 0.01333…"""
    sizing = Sizing(risk_per_trade=Decimal("0.02"), leverage=Decimal(3))
    assert position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=None, instrument=COIN) == Decimal("0.0133")


@pytest.mark.parametrize(("leverage", "quantity", "loss"), [(1, "0.2", 200), (10, "2", 2000)])
def test_leveraged_risk_loses_leverage_times_the_risk(leverage: int, quantity: str, loss: int) -> None:
    """10,000 × 0.02 / 1,000 × leverage; at leverage 10 the stop costs 2,000, a fifth of the capital."""
    sizing = Sizing(method=SizingMethod.LEVERAGED_RISK, risk_per_trade=Decimal("0.02"), leverage=Decimal(leverage))
    size = position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=Decimal(44000), instrument=COIN)
    assert size == Decimal(quantity)
    assert size * (45000 - 44000) == loss


def test_leveraged_risk_is_bounded_by_what_the_leverage_can_pay_for() -> None:
    """Stop 100 away: 10,000 × 0.02 / 100 × 10 = 20 units; 10,000 × 10 / 45,000 = 2.2222 can be paid for."""
    sizing = Sizing(method=SizingMethod.LEVERAGED_RISK, risk_per_trade=Decimal("0.02"), leverage=Decimal(10))
    assert position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=Decimal(44900), instrument=COIN) == Decimal("2.2222")


def test_volatility_target_sizes_by_the_average_true_range_and_not_by_the_stop() -> None:
    """10,000 × 0.02 / (500 × 2) = 0.2; at twice the range half of it; with a multiple of 3, 200 / 1,500 = 0.13333."""
    sizing = Sizing(method=SizingMethod.VOLATILITY_TARGET, risk_per_trade=Decimal("0.02"))

    def size(sizing: Sizing, atr: str | None) -> Decimal:
        value = None if atr is None else Decimal(atr)
        return position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=Decimal(1), instrument=COIN, atr=value)

    assert (size(sizing, "500"), size(sizing, "1000")) == (Decimal("0.2"), Decimal("0.1"))
    assert size(Sizing(method=SizingMethod.VOLATILITY_TARGET, risk_per_trade=Decimal("0.02"), atr_multiple=Decimal(3)), "500") == Decimal(
        "0.1333"
    )
    assert size(sizing, "1") == Decimal("0.2222")  # bounded by 10,000 / 45,000
    assert size(sizing, None) == 0


@pytest.mark.parametrize(("freeze", "largest"), [(None, None), ("900", "900"), ("910", "900"), ("20", "30")])
def test_the_largest_order_is_the_freeze_quantity_in_whole_lots(freeze: str | None, largest: str | None) -> None:
    instrument = Instrument(
        id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(30), freeze_quantity=None if freeze is None else Decimal(freeze)
    )
    assert largest_order(instrument) == (None if largest is None else Decimal(largest))


def test_less_than_a_lot_or_than_the_least_notional_is_nothing() -> None:
    lot = Instrument(id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(30))
    fixed = Sizing(method=SizingMethod.FIXED, quantity=Decimal(29))
    assert position_size(fixed, capital=Decimal(1), price=Decimal(100), stop=None, instrument=lot) == 0
    poor = Instrument(id="X", kind=InstrumentKind.SPOT, lot_size=Decimal("0.001"), min_notional=Decimal(10))
    tiny = Sizing(method=SizingMethod.FIXED, quantity=Decimal("0.09"))
    assert position_size(tiny, capital=Decimal(1), price=Decimal(100), stop=None, instrument=poor) == 0


def test_the_least_notional_itself_is_enough_and_is_a_matter_of_money() -> None:
    """0.1 at 100 is 10; 0.1 at 99 is 9.9; 10 units at 1 are 10."""
    coin = Instrument(id="X", kind=InstrumentKind.SPOT, lot_size=Decimal("0.1"), min_notional=Decimal(10))

    def size(quantity: str, price: int) -> Decimal:
        fixed = Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity))
        return position_size(fixed, capital=Decimal(1), price=Decimal(price), stop=None, instrument=coin)

    assert (size("0.1", 100), size("0.1", 99), size("10", 1)) == (Decimal("0.1"), 0, 10)


def test_fixed_without_a_quantity_is_nothing() -> None:
    assert position_size(Sizing(method=SizingMethod.FIXED), capital=Decimal(1), price=Decimal(1), stop=None, instrument=COIN) == 0


@pytest.mark.parametrize("stop", [None, "45000"])
def test_leveraged_risk_without_a_stop_counts_the_leverage_once(stop: str | None) -> None:
    """10,000 × 0.02 × 3 / 45,000 = 0.01333…; a stop at the entry is none."""
    sizing = Sizing(method=SizingMethod.LEVERAGED_RISK, risk_per_trade=Decimal("0.02"), leverage=Decimal(3))
    level = None if stop is None else Decimal(stop)
    assert position_size(sizing, capital=Decimal(10000), price=Decimal(45000), stop=level, instrument=COIN) == Decimal("0.0133")


def test_a_range_below_one_is_a_range() -> None:
    """10,000 × 0.02 / (0.25 × 2) = 400 of 4."""
    sizing = Sizing(method=SizingMethod.VOLATILITY_TARGET, risk_per_trade=Decimal("0.02"))
    quantity = position_size(sizing, capital=Decimal(10000), price=Decimal(4), stop=None, instrument=COIN, atr=Decimal("0.25"))
    assert quantity == 400


@pytest.mark.parametrize(("quantity", "orders"), [(900, 1), (901, 2), (1800, 2), (1801, 3), (30, 1)])
def test_an_intent_needs_so_many_orders_of_nine_hundred(quantity: int, orders: int) -> None:
    frozen = Instrument(id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(30), freeze_quantity=Decimal(900))
    assert orders_needed(Decimal(quantity), frozen) == orders
    assert orders_needed(Decimal(quantity), Instrument(id="X", kind=InstrumentKind.FUTURE)) == 1


@given(
    capital=st.decimals(1000, 10**8, places=2),
    price=st.decimals("0.05", 10**5, places=2),
    stop=st.decimals("0.05", 10**5, places=2),
    risk=st.decimals("0.001", "0.1", places=3),
    leverage=st.integers(1, 20).map(Decimal),
    method=st.sampled_from([SizingMethod.FIXED_RISK, SizingMethod.LEVERAGED_RISK, SizingMethod.VOLATILITY_TARGET]),
    atr=st.decimals("0.05", 1000, places=2),
)
def test_whole_lots_never_lose_more_than_the_risk_nor_cost_more_than_the_leverage(
    capital, price, stop, risk, leverage, method, atr
) -> None:
    lot = Instrument(id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(15))
    sizing = Sizing(method=method, risk_per_trade=risk, leverage=leverage)
    quantity = position_size(sizing, capital=capital, price=price, stop=stop, instrument=lot, atr=atr)
    assert quantity >= 0
    assert quantity % 15 == 0
    assert quantity * price <= capital * leverage
    match method:
        case SizingMethod.FIXED_RISK:
            assert quantity * abs(price - stop) <= capital * risk
        case SizingMethod.LEVERAGED_RISK:
            assert quantity * abs(price - stop) <= capital * risk * leverage
        case _:
            assert quantity * atr * 2 <= capital * risk
