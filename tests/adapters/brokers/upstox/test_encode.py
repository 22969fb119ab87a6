"""Our orders in Upstox's words. Slab figures are those of the published market price protection table."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.brokers.upstox.encode import check, modify_request, place_request, protected_price, protection_percent
from runtime.errors import BrokerRefused, RefusalReason
from runtime.market import Instrument, InstrumentKind
from runtime.orders import Leg, Order, OrderType
from runtime.signals import OrderSide
from tests.builders import FUTURE, at, option

CALL = msgspec.structs.replace(option(), freeze_quantity=Decimal(600))


def order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "ABCDEFGHIJKLMNOPQRST",
        "user_id": "u1",
        "slot": "s",
        "signal_id": "x",
        "leg": Leg.ENTRY,
        "instrument": CALL,
        "side": OrderSide.BUY,
        "quantity": Decimal(60),
        "created_at": at("10:00"),
    }
    return Order(**(fields | changes))


@pytest.mark.parametrize(
    ("kind", "price", "percent"),
    [
        (InstrumentKind.OPTION, "9.95", "5"),
        (InstrumentKind.OPTION, "10", "3"),
        (InstrumentKind.OPTION, "99.95", "3"),
        (InstrumentKind.OPTION, "100", "2"),
        (InstrumentKind.OPTION, "499.95", "2"),
        (InstrumentKind.OPTION, "500", "1"),
        (InstrumentKind.FUTURE, "99", "2"),
        (InstrumentKind.FUTURE, "100", "1"),
        (InstrumentKind.EQUITY, "500", "0.5"),
        (InstrumentKind.FUTURE, "52000", "0.5"),
    ],
)
def test_market_price_protection_goes_by_slabs(kind: InstrumentKind, price: str, percent: str) -> None:
    assert protection_percent(kind, Decimal(price)) == Decimal(percent)


@pytest.mark.parametrize(
    ("side", "last", "limit"),
    [
        (OrderSide.BUY, "250.00", "255.00"),  # + 2 %
        (OrderSide.SELL, "250.00", "245.00"),
        (OrderSide.BUY, "387.80", "395.55"),  # 395.556: the tick inside the slab
        (OrderSide.SELL, "387.80", "380.05"),  # 380.044
        (OrderSide.SELL, "0.05", "0.05"),  # never below one tick
    ],
)
def test_a_market_order_is_a_limit_beyond_the_market(side: OrderSide, last: str, limit: str) -> None:
    assert protected_price(CALL, side, Decimal(last)) == Decimal(limit)


@given(st.integers(1, 2_000_000), st.sampled_from(OrderSide))
def test_a_protected_price_is_on_the_tick_and_never_worse_than_the_slab(ticks: int, side: OrderSide) -> None:
    last = ticks * CALL.tick_size
    price = protected_price(CALL, side, last)
    assert price % CALL.tick_size == 0
    bound = last * protection_percent(InstrumentKind.OPTION, last) / 100
    assert abs(price - last) <= bound
    assert price >= last if side is OrderSide.BUY else price <= last


def test_a_market_order_leaves_as_a_limit_order_that_carries_our_id_as_its_tag() -> None:
    assert place_request(order(), "NSE_FO|1", "I", Decimal("250.00")) == {
        "quantity": 60,
        "product": "I",
        "validity": "DAY",
        "price": 255.0,
        "tag": "ABCDEFGHIJKLMNOPQRST",
        "instrument_token": "NSE_FO|1",
        "order_type": "LIMIT",
        "transaction_type": "BUY",
        "disclosed_quantity": 0,
        "trigger_price": 0.0,
        "is_amo": False,
        "slice": False,
    }


def test_a_stop_leaves_as_a_stop_limit_with_room_to_fill() -> None:
    """A sell stop at 200 may fill down to 200 less 2 %."""
    stop = order(type=OrderType.STOP_MARKET, stop_price=Decimal("200.00"), side=OrderSide.SELL)
    request = place_request(stop, "NSE_FO|1", "I", None)
    assert (request["order_type"], request["trigger_price"], request["price"]) == ("SL", 200.0, 196.0)


@pytest.mark.parametrize(("side", "price"), [(OrderSide.BUY, 100.0), (OrderSide.SELL, 100.05)])
def test_a_limit_between_two_ticks_is_rounded_to_the_traders_advantage(side: OrderSide, price: float) -> None:
    request = place_request(order(type=OrderType.LIMIT, limit_price=Decimal("100.03"), side=side), "NSE_FO|1", "I", None)
    assert request["price"] == price


def test_a_modification_names_the_order_and_its_new_prices() -> None:
    moved = order(type=OrderType.STOP_MARKET, stop_price=Decimal("210.00"), side=OrderSide.SELL)
    expected = {"order_id": "2611", "order_type": "SL", "validity": "DAY", "price": 205.8, "trigger_price": 210.0}
    assert modify_request("2611", moved, None) == expected


def test_beyond_the_freeze_quantity_the_broker_is_asked_to_slice() -> None:
    assert place_request(order(quantity=Decimal(600)), "k", "I", Decimal(100))["slice"] is False
    assert place_request(order(quantity=Decimal(630)), "k", "I", Decimal(100))["slice"] is True


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": Decimal(31)}, RefusalReason.LOT_SIZE),
        ({"quantity": Decimal(0)}, RefusalReason.LOT_SIZE),
        ({"quantity": Decimal(4830)}, RefusalReason.FREEZE_QUANTITY),  # nine slices of 600
        ({"type": OrderType.LIMIT}, RefusalReason.INVALID),
        ({"type": OrderType.STOP_MARKET, "stop_price": Decimal(0)}, RefusalReason.INVALID),
        ({"instrument": Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)}, RefusalReason.INSTRUMENT),
    ],
)
def test_what_is_certain_to_be_refused_costs_no_message(changes: dict[str, Any], reason: RefusalReason) -> None:
    with pytest.raises(BrokerRefused) as refused:
        check(order(**changes))
    assert refused.value.reason is reason


def test_a_market_order_without_a_known_price_is_refused() -> None:
    with pytest.raises(BrokerRefused, match="no price"):
        place_request(order(instrument=FUTURE, quantity=Decimal(1)), "k", "I", None)
