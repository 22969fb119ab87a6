from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.market import Instrument, InstrumentKind
from runtime.session import Sizing, SizingMethod
from runtime.sizing import position_size

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


def test_less_than_a_lot_or_than_the_least_notional_is_nothing() -> None:
    lot = Instrument(id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(30))
    fixed = Sizing(method=SizingMethod.FIXED, quantity=Decimal(29))
    assert position_size(fixed, capital=Decimal(1), price=Decimal(100), stop=None, instrument=lot) == 0
    poor = Instrument(id="X", kind=InstrumentKind.SPOT, lot_size=Decimal("0.001"), min_notional=Decimal(10))
    tiny = Sizing(method=SizingMethod.FIXED, quantity=Decimal("0.09"))
    assert position_size(tiny, capital=Decimal(1), price=Decimal(100), stop=None, instrument=poor) == 0


@given(
    capital=st.decimals(1000, 10**8, places=2),
    price=st.decimals("0.05", 10**5, places=2),
    stop=st.decimals("0.05", 10**5, places=2),
    risk=st.decimals("0.001", "0.1", places=3),
    leverage=st.integers(1, 20).map(Decimal),
)
def test_whole_lots_never_lose_more_than_the_risk_nor_cost_more_than_the_leverage(capital, price, stop, risk, leverage) -> None:
    lot = Instrument(id="X", kind=InstrumentKind.FUTURE, lot_size=Decimal(15))
    sizing = Sizing(risk_per_trade=risk, leverage=leverage)
    quantity = position_size(sizing, capital=capital, price=price, stop=stop, instrument=lot)
    assert quantity >= 0
    assert quantity % 15 == 0
    assert quantity * abs(price - stop) <= capital * risk
    assert quantity * price <= capital * leverage
