"""Whatever customers and faults do, the venue's own books add up: orders, fills, positions, cash and ledger."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.market import IST
from tests.venues.upstox import simple
from tests.venues.upstox.books import OrderScript
from tests.venues.upstox.core import Core
from tests.venues.upstox.errors import ApiError
from tests.venues.upstox.ledger import Happened
from tests.venues.upstox.requests import parse_place

LOT = 30
ENDS = {Happened.CANCELLED, Happened.REJECTED}

scripts = st.builds(
    OrderScript,
    seconds=st.sampled_from([0.0, 0.0, 3.0, 120.0]),
    hidden=st.booleans(),
    reject=st.sampled_from([None, None, None, "RMS:Blocked"]),
    fills=st.one_of(st.none(), st.lists(st.integers(1, 3).map(lambda lots: lots * LOT), max_size=3).map(tuple)),
)
orders = st.fixed_dictionaries(
    {
        "quantity": st.integers(1, 25).map(lambda lots: lots * LOT),
        "transaction_type": st.sampled_from(["BUY", "SELL"]),
        "order_type": st.sampled_from(["MARKET", "LIMIT", "SL", "SL-M"]),
        "validity": st.sampled_from(["DAY", "DAY", "IOC"]),
        "product": st.sampled_from(["I", "D"]),
        "slice": st.booleans(),
        "level": st.integers(-20, 20),
    }
)
steps = st.one_of(
    st.tuples(st.just("place"), orders, scripts),
    st.tuples(st.just("cancel"), st.integers(0, 10)),
    st.tuples(st.just("modify"), st.integers(0, 10), st.integers(1, 25)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 10.0, 60.0])),
)


def _place(core: Core, order: dict[str, Any], script: OrderScript) -> None:
    listed = core.listing.of("NSE:BANKNIFTY26NOV52000CE")
    quote = core.market.quote(listed, core.clock.now)
    assert quote is not None
    price = round(quote.price + 0.5 * order["level"], 1)
    stop = order["order_type"].startswith("SL")
    prices = {"price": price if order["order_type"] in ("LIMIT", "SL") else 0, "trigger_price": price if stop else 0}
    request = parse_place(order | prices | {"instrument_token": listed.key}, core.listing, core.settings)
    core.desk.place(core.accounts.by_id["U1"], request, script=script)


def _do(core: Core, step: tuple[Any, ...]) -> None:
    known = list(core.desk.book("U1").orders)
    match step:
        case ("place", order, script):
            _place(core, order, script)
        case ("cancel", number) if known:
            core.desk.cancel("U1", known[number % len(known)])
        case ("modify", number, lots) if known:
            fields = {
                "order_id": known[number % len(known)],
                "order_type": "LIMIT",
                "price": 400.0,
                "validity": "DAY",
                "quantity": lots * LOT,
            }
            core.desk.modify("U1", fields)
        case ("wait", seconds):
            core.clock.run_to(core.clock.later(seconds))
        case _:
            pass


@settings(max_examples=25)
@given(st.lists(steps, max_size=20))
def test_every_order_ends_once_and_fills_are_neither_lost_nor_made_up(script: list[tuple[Any, ...]]) -> None:
    core = Core(simple())
    core.clock.run_to(core.clock.later(60))
    for step in script:
        try:
            _do(core, step)
        except ApiError:
            continue
    core.clock.run_to(core.clock.later(150))
    core.desk.end_session()

    fills: Counter[str] = Counter()
    for fill in core.ledger.entries(Happened.FILLED):
        fills[fill.order_id] += fill.quantity
    ended = Counter(entry.order_id for entry in core.ledger.entries() if entry.what in ENDS)
    for order in core.desk.book("U1").orders.values():
        complete = fills[order.order_id] == order.terms.quantity
        assert fills[order.order_id] == order.filled <= order.terms.quantity
        assert order.is_final
        assert ended[order.order_id] == (0 if complete else 1)
    positions: Counter[str] = Counter()
    for position in core.desk.book("U1").positions.values():
        positions[position.listed.key] += position.quantity
    assert {key: quantity for key, quantity in positions.items() if quantity} == core.ledger.net("U1")
    paid = sum((-1 if fill.side == "BUY" else 1) * fill.quantity * (fill.price or 0) for fill in core.ledger.entries(Happened.FILLED))
    assert paid == sum((position.sold_value - position.bought_value for position in core.desk.book("U1").positions.values()), Decimal(0))


def test_a_position_is_carried_overnight_and_settled_when_its_contract_expires() -> None:
    sessions = (date(2026, 11, 23), date(2026, 11, 24))
    core = Core(msgspec.structs.replace(simple(sessions=sessions), start=datetime(2026, 11, 23, 15, 20, tzinfo=IST)))
    call = core.listing.of("NSE:BANKNIFTY26NOV52000CE")
    core.trade_by_hand("U1", {"instrument_token": call.key, "quantity": LOT, "transaction_type": "BUY", "product": "D"})
    (bought,) = core.ledger.entries(Happened.FILLED)
    assert bought.price is not None

    core.clock.run_to(core.clock.later(24 * 3600))
    (position,) = core.desk.book("U1").positions.values()
    assert (position.quantity, position.overnight, position.bought, position.average_price) == (LOT, LOT, 0, bought.price)

    core.clock.run_to(core.clock.later(24 * 3600))
    (settled,) = core.ledger.entries(Happened.SETTLED)
    assert settled.price is not None
    assert core.desk.book("U1").positions == {}
    assert core.ledger.net("U1") == {}
    account = core.accounts.by_id["U1"]
    assert account.cash == account.settings.funds + LOT * (settled.price - bought.price)
    assert core.desk.available(account) == account.cash


def test_an_order_after_hours_goes_to_the_exchange_at_the_next_open() -> None:
    core = Core(simple())
    core.clock.run_to(core.clock.local.replace(hour=18))
    call = core.listing.of("NSE:BANKNIFTY26DEC52000CE")
    (order_id,) = core.trade_by_hand("U1", {"instrument_token": call.key, "quantity": LOT, "transaction_type": "BUY", "product": "D"})
    assert core.desk.book("U1").orders[order_id].status == "after market order req received"

    core.clock.run_to(core.clock.local.replace(day=23, hour=9, minute=16))

    (fill,) = core.ledger.entries(Happened.FILLED)
    assert f"{fill.ts:%Y-%m-%d %H:%M}" == "2026-11-23 03:45"
