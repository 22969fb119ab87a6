from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from adapters.brokers.paper import PaperBroker, PaperVenue
from runtime.accounts import OpenOrder
from runtime.errors import BrokerUnavailable, InvalidConfig
from runtime.market import Instrument, InstrumentId, InstrumentKind, Quote, Right
from runtime.orders import Leg, Order, OrderAccepted, OrderCancelled, OrderEvent, OrderFilled, OrderType
from runtime.paper import PaperExchange
from runtime.ports import Broker
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


class Quotes(dict[InstrumentId, Quote]):
    def quote(self, instrument: InstrumentId) -> Quote | None:
        return self.get(instrument)


def order(user_id: str, *, order_id: str | None = None, limit: str | None = None) -> Order:
    return Order(
        order_id=order_id or f"order-{user_id}",
        user_id=user_id,
        slot="s",
        signal_id="g",
        leg=Leg.ENTRY,
        instrument=CALL,
        side=OrderSide.BUY,
        quantity=Decimal(30),
        type=OrderType.LIMIT if limit else OrderType.MARKET,
        limit_price=Decimal(limit) if limit else None,
        created_at=T0,
    )


def quotes(price: float = 100.0) -> Quotes:
    return Quotes({CALL.id: Quote(CALL.id, price)})


def broker(venue: PaperVenue, user_id: str = "u1", **options: object) -> PaperBroker:
    return PaperBroker(venue, user_id, lambda: T0, **options)  # type: ignore[arg-type]


async def everything(each: Broker) -> list[OrderEvent]:
    await each.close()
    return [event async for event in each.events()]


async def test_a_market_order_is_accepted_and_filled_against_the_quote_book() -> None:
    account = broker(PaperVenue(PaperExchange(), quotes()), slippage_percent=Decimal(2))
    await account.submit(order("u1"))
    assert await everything(account) == [
        OrderAccepted(ts=T0, order_id="order-u1", broker_order_id="paper-order-u1"),
        OrderFilled(ts=T0, order_id="order-u1", fill_id="order-u1-30", quantity=Decimal(30), price=Decimal(102)),
    ]


async def test_fills_of_resting_orders_reach_the_broker_of_their_user_or_else_the_host() -> None:
    venue = PaperVenue(PaperExchange(), quotes())
    account = broker(venue)
    await account.submit(order("u1", limit="90"))
    venue.submit_now(order("packed", limit="90"), T0)

    to_host = venue.on_quotes([Quote(CALL.id, 89.0), Quote("NSE:OTHER", 1.0)], T0)

    assert [(user, type(event)) for user, event in to_host] == [("packed", OrderFilled)]
    assert [type(event) for event in await everything(account)] == [OrderAccepted, OrderFilled]


async def test_reconcile_places_what_the_exchange_has_forgotten_and_repeats_what_it_knows() -> None:
    venue = PaperVenue(PaperExchange(), quotes())
    account = broker(venue)
    known, forgotten = order("u1", order_id="known", limit="90"), order("u1", order_id="forgotten")
    await account.submit(known)

    await account.reconcile([OpenOrder(order=known), OpenOrder(order=forgotten)])

    accepted = OrderAccepted(ts=T0, order_id="known", broker_order_id="paper-known")
    events = await everything(account)
    assert events[:2] == [accepted, accepted]
    assert [(event.order_id, type(event)) for event in events[2:]] == [("forgotten", OrderAccepted), ("forgotten", OrderFilled)]


async def test_a_cancelled_order_is_reported_and_does_not_fill() -> None:
    venue = PaperVenue(PaperExchange(), quotes())
    account = broker(venue)
    await account.submit(order("u1", limit="90"))
    await account.cancel("order-u1")
    venue.on_quotes([Quote(CALL.id, 80.0)], T0)
    assert [type(event) for event in await everything(account)] == [OrderAccepted, OrderCancelled]


async def test_events_can_be_awaited_before_they_happen() -> None:
    venue = PaperVenue(PaperExchange(), Quotes())
    account = broker(venue)
    await account.submit(order("u1"))
    events = account.events()
    assert isinstance(await anext(events), OrderAccepted)
    waiting = anext(events)
    venue.on_quotes([Quote(CALL.id, 70.0, 69.9, 70.1)], T0)
    fill = await waiting
    assert isinstance(fill, OrderFilled)
    assert fill.price == Decimal("70.10")


async def test_a_closed_broker_takes_no_order() -> None:
    account = broker(PaperVenue(PaperExchange(), quotes()))
    await account.close()
    await account.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await account.submit(order("u1"))


async def test_a_user_who_does_not_read_is_refused_further_orders() -> None:
    account = broker(PaperVenue(PaperExchange(), quotes()), events_max=2)
    await account.submit(order("u1"))
    with pytest.raises(BrokerUnavailable, match="2 order events of u1 wait"):
        await account.submit(order("u1", order_id="another"))


async def test_a_user_has_one_broker_at_a_time_on_a_venue() -> None:
    venue = PaperVenue(PaperExchange(), quotes())
    first = broker(venue)
    with pytest.raises(InvalidConfig, match="u1"):
        broker(venue)
    await first.close()
    broker(venue)


@pytest.mark.parametrize("percent", ["-1", "100", "NaN"])
async def test_slippage_must_be_a_percentage(percent: str) -> None:
    with pytest.raises(InvalidConfig, match="slippage_percent"):
        broker(PaperVenue(PaperExchange(), quotes()), slippage_percent=Decimal(percent))
