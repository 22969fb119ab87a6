from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.market import Instrument, InstrumentKind, Quote, Right
from runtime.orders import Leg, Order, OrderAccepted, OrderCancelled, OrderEvent, OrderFilled, OrderRejected, OrderType
from runtime.paper import PaperExchange
from runtime.signals import OrderSide

T0 = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
CALL = Instrument(
    id="NSE:BANKNIFTY26NOV52000CE",
    kind=InstrumentKind.OPTION,
    lot_size=Decimal(30),
    underlying="NSE:BANKNIFTY",
    expiry=date(2026, 11, 24),
    strike=52000.0,
    right=Right.CALL,
)
TICK = CALL.tick_size


def order(side: OrderSide = OrderSide.BUY, quantity: int = 60, order_id: str = "A", **fields: object) -> Order:
    base = Order(
        order_id=order_id,
        user_id="u1",
        slot="s",
        signal_id="g",
        leg=Leg.ENTRY,
        instrument=CALL,
        side=side,
        quantity=Decimal(quantity),
        created_at=T0,
    )
    return msgspec.structs.replace(base, **fields)


def limit(side: OrderSide, price: str, **fields: object) -> Order:
    return order(side, type=OrderType.LIMIT, limit_price=Decimal(price), **fields)


def stop(side: OrderSide, price: str, **fields: object) -> Order:
    return order(side, type=OrderType.STOP_MARKET, stop_price=Decimal(price), **fields)


def quote(price: float, bid: float | None = None, ask: float | None = None, instrument: str = CALL.id) -> Quote:
    return Quote(instrument, price, bid, ask)


def fills(events: list[OrderEvent]) -> list[OrderFilled]:
    return [event for event in events if isinstance(event, OrderFilled)]


def fill_prices(events: list[OrderEvent]) -> list[str]:
    return [str(fill.price) for fill in fills(events)]


@pytest.mark.parametrize(("side", "price"), [(OrderSide.BUY, "250.10"), (OrderSide.SELL, "249.90")])
def test_a_market_order_fills_at_once_at_the_side_it_trades_against(side: OrderSide, price: str) -> None:
    events = PaperExchange().submit(order(side), quote(250.0, 249.9, 250.1), T0)

    assert events == [
        OrderAccepted(ts=T0, order_id="A", broker_order_id="paper-A"),
        OrderFilled(ts=T0, order_id="A", fill_id="A-60", quantity=Decimal(60), price=Decimal(price)),
    ]


@pytest.mark.parametrize(("side", "price"), [(OrderSide.BUY, "102.10"), (OrderSide.SELL, "98.00")])
def test_without_a_bid_or_ask_slippage_goes_against_the_trader_to_the_next_tick(side: OrderSide, price: str) -> None:
    """100.05 × 1.02 = 102.051, up to 102.10; 100.05 × 0.98 = 98.049, down to 98.00."""
    events = PaperExchange().submit(order(side), quote(100.05), T0, slippage_percent=Decimal(2))
    assert fill_prices(events) == [price]


def test_a_sale_of_a_nearly_worthless_option_never_fills_below_one_tick() -> None:
    assert fill_prices(PaperExchange().submit(order(OrderSide.SELL), quote(0.05), T0, slippage_percent=Decimal(50))) == ["0.05"]


def test_a_market_order_without_any_quote_waits_for_the_first_one() -> None:
    exchange = PaperExchange()
    assert exchange.submit(order(), None, T0) == [OrderAccepted(ts=T0, order_id="A", broker_order_id="paper-A")]
    assert list(exchange.open_orders) == ["A"]
    assert exchange.on_quote(quote(10.0, instrument="NSE:OTHER"), T0) == []

    assert fill_prices(exchange.on_quote(quote(120.0, 119.95, 120.05), T0 + timedelta(seconds=3))) == ["120.05"]
    assert exchange.open_orders == {}


def test_a_limit_order_rests_until_the_ask_touches_it() -> None:
    exchange = PaperExchange()
    assert fills(exchange.submit(limit(OrderSide.BUY, "100.00"), quote(100.0, 99.95, 100.05), T0)) == []
    assert exchange.on_quote(quote(99.95, 99.95, 100.05), T0) == []
    assert fill_prices(exchange.on_quote(quote(100.0, 99.9, 100.0), T0)) == ["100.00"]


def test_a_limit_order_gets_the_better_price_of_a_gap() -> None:
    exchange = PaperExchange()
    exchange.submit(limit(OrderSide.SELL, "100.00"), quote(90.0, 89.95, 90.05), T0)
    assert fill_prices(exchange.on_quote(quote(130.0, 129.5, 130.5), T0)) == ["129.50"]


def test_a_stop_is_triggered_by_the_last_price_and_fills_at_the_market() -> None:
    exchange = PaperExchange()
    exchange.submit(stop(OrderSide.SELL, "80.00"), quote(100.0, 99.95, 100.05), T0)
    assert exchange.on_quote(quote(80.05, 79.0, 80.1), T0) == []
    assert fill_prices(exchange.on_quote(quote(80.0, 79.9, 80.1), T0)) == ["79.90"]


def test_a_stop_that_gaps_fills_worse_than_its_level() -> None:
    exchange = PaperExchange()
    exchange.submit(stop(OrderSide.SELL, "80.00"), quote(100.0), T0)
    assert fill_prices(exchange.on_quote(quote(55.0), T0)) == ["55.00"]


def test_a_triggered_stop_stays_triggered_while_it_fills_in_parts() -> None:
    exchange = PaperExchange(max_fill_quantity=Decimal(45))
    exchange.submit(stop(OrderSide.SELL, "80.00"), None, T0)
    assert fill_prices(exchange.on_quote(quote(79.0), T0)) == ["79.00"]
    assert fill_prices(exchange.on_quote(quote(95.0), T0)) == ["95.00"]


def test_partial_fills_are_whole_lots_numbered_by_the_quantity_done() -> None:
    exchange = PaperExchange(max_fill_quantity=Decimal(100))  # three lots of 30
    events = exchange.submit(order(quantity=240), quote(10.0), T0)
    for _ in range(5):
        events += exchange.on_quote(quote(10.0), T0)
    assert [(fill.fill_id, fill.quantity) for fill in fills(events)] == [("A-90", 90), ("A-180", 90), ("A-240", 60)]


def test_an_order_submitted_twice_is_one_order() -> None:
    exchange = PaperExchange()
    resting = limit(OrderSide.BUY, "90.00")
    first = exchange.submit(resting, quote(100.0), T0)
    assert exchange.submit(resting, quote(80.0), T0 + timedelta(seconds=1)) == first
    filled = exchange.on_quote(quote(90.0), T0)
    assert len(filled) == 1
    assert exchange.submit(resting, quote(80.0), T0) == first + filled
    assert exchange.open_orders == {}


def test_a_cancelled_order_never_fills() -> None:
    exchange = PaperExchange()
    exchange.submit(limit(OrderSide.BUY, "90.00"), None, T0)
    assert exchange.cancel("A", T0) == [OrderCancelled(ts=T0, order_id="A")]
    assert exchange.on_quote(quote(50.0), T0) == []
    assert exchange.cancel("A", T0) == []


def test_a_cancel_that_overtakes_its_order_keeps_it_from_being_placed() -> None:
    exchange = PaperExchange()
    cancelled = exchange.cancel("A", T0)
    assert [type(event) for event in cancelled] == [OrderCancelled]
    assert exchange.submit(order(), quote(100.0), T0) == cancelled


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (order(quantity=0), "quantity 0 must be positive"),
        (order(type=OrderType.LIMIT), "a LIMIT order needs a positive limit_price, not None"),
        (stop(OrderSide.SELL, "0"), "a STOP_MARKET order needs a positive stop_price, not 0"),
        (
            order(instrument=Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)),
            "the index NSE:BANKNIFTY cannot be traded, only its contracts",
        ),
    ],
)
def test_an_impossible_order_is_rejected_with_the_reason(bad: Order, reason: str) -> None:
    exchange = PaperExchange()
    assert exchange.submit(bad, quote(100.0), T0) == [OrderRejected(ts=T0, order_id="A", reason=reason)]
    assert exchange.open_orders == {}


def test_only_the_newest_finished_orders_are_remembered() -> None:
    exchange = PaperExchange(finished_orders_max=2)
    for order_id in "ABC":
        exchange.submit(order(order_id=order_id), quote(100.0), T0)
    assert [exchange.knows(order_id) for order_id in "ABC"] == [False, True, True]


def test_fills_of_one_quote_come_oldest_order_first_with_their_users() -> None:
    exchange = PaperExchange()
    for user in ("u3", "u1", "u2"):
        exchange.submit(limit(OrderSide.BUY, "90.00", order_id=f"order of {user}", user_id=user), None, T0)
    assert [user for user, _ in exchange.on_quotes([quote(89.0)], T0)] == ["u3", "u1", "u2"]


ticks = st.integers(1, 400)
sides = st.sampled_from(OrderSide)


@st.composite
def quotes(draw: st.DrawFn) -> Quote:
    last, spread = draw(ticks), draw(st.integers(0, 5))
    bid, ask = max(1, last - spread), last + max(1, spread)
    shown = draw(st.booleans())
    return quote(last * 5 / 100, bid * 5 / 100 if shown else None, ask * 5 / 100 if shown else None)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    make = draw(st.sampled_from([order, limit, stop]))
    side, order_id = draw(sides), draw(st.uuids()).hex
    quantity = Decimal(30 * draw(st.integers(1, 20)))
    price = str(draw(ticks) * TICK)
    return make(side, order_id=order_id, quantity=quantity) if make is order else make(side, price, order_id=order_id, quantity=quantity)  # type: ignore[operator]


def run(exchange: PaperExchange, placed: list[Order], path: list[Quote], slippage: Decimal) -> list[OrderEvent]:
    events: list[OrderEvent] = []
    for number, each in enumerate(path):
        if number < len(placed):
            events += exchange.submit(placed[number], each, T0, slippage_percent=slippage)
        events += exchange.on_quote(each, T0)
    return events


runs = st.tuples(
    st.lists(orders(), min_size=1, max_size=6, unique_by=lambda each: each.order_id),
    st.lists(quotes(), min_size=6, max_size=25),
    st.sampled_from([None, Decimal(30), Decimal(100)]),
    st.sampled_from([Decimal(0), Decimal(2), Decimal(60)]),
)


@given(runs)
def test_an_order_is_never_filled_beyond_its_quantity_and_is_open_until_it_is_done(
    case: tuple[list[Order], list[Quote], Decimal | None, Decimal],
) -> None:
    placed, path, size, slippage = case
    exchange = PaperExchange(max_fill_quantity=size)
    events = run(exchange, placed, path, slippage)
    for each in placed:
        mine = [fill for fill in fills(events) if fill.order_id == each.order_id]
        done = sum((fill.quantity for fill in mine), Decimal(0))
        assert done <= each.quantity
        assert (done == each.quantity) == (each.order_id not in exchange.open_orders)
        assert len({fill.fill_id for fill in mine}) == len(mine)


@given(runs)
def test_every_fill_is_on_the_tick_and_a_limit_is_never_worse_than_its_limit(
    case: tuple[list[Order], list[Quote], Decimal | None, Decimal],
) -> None:
    placed, path, size, slippage = case
    by_id = {each.order_id: each for each in placed}
    for fill in fills(run(PaperExchange(max_fill_quantity=size), placed, path, slippage)):
        intent = by_id[fill.order_id]
        assert fill.price >= TICK
        assert fill.price % TICK == 0
        if intent.type is OrderType.LIMIT:
            assert intent.limit_price is not None
            assert fill.price <= intent.limit_price if intent.side is OrderSide.BUY else fill.price >= intent.limit_price


@given(runs)
def test_the_same_orders_and_quotes_give_the_same_events(case: tuple[list[Order], list[Quote], Decimal | None, Decimal]) -> None:
    placed, path, size, slippage = case
    first, second = (run(PaperExchange(max_fill_quantity=size), placed, path, slippage) for _ in range(2))
    assert first == second


@given(st.integers(1, 20), st.integers(0, 20), st.sampled_from([30, 60, 150]), st.sampled_from([None, 30, 90]))
def test_fills_repeated_by_an_exchange_that_forgot_add_up_to_the_order_once_read_by_fill_id(
    lots: int, quotes_before: int, size_before: int, size_after: int | None
) -> None:
    """The trader's side of the agreement: a known fill id counts once, and never more than what is left."""
    intent = order(quantity=30 * lots)
    before = PaperExchange(max_fill_quantity=Decimal(size_before))
    events = fills(run(before, [intent], [quote(10.0)] * quotes_before, Decimal(0)))
    after = PaperExchange(max_fill_quantity=None if size_after is None else Decimal(size_after))
    events += fills(run(after, [intent], [quote(11.0)] * (lots + 1), Decimal(0)))

    seen: set[str] = set()
    done = Decimal(0)
    for fill in events:
        if fill.fill_id not in seen:
            seen.add(fill.fill_id)
            done += min(fill.quantity, intent.quantity - done)
    assert done == intent.quantity
