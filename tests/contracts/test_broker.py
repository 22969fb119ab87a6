"""What every `Broker` promises. The venue's books decide. Those over a network promise more: test_broker_outcomes, test_broker_accounts."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest

from runtime.accounts import Capability, OpenOrder
from runtime.errors import BrokerRefused, OrderNotFound
from runtime.orders import OrderType
from runtime.ports import Broker
from runtime.signals import OrderSide
from tests.contracts.rig import Listener, NetworkRig, Rig, eventually, order
from tests.contracts.rigs import RIGS, rigs_with


async def test_a_market_order_is_accepted_and_filled_once(rig: Rig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(rig)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    assert heard.filled(buy) == buy.quantity
    assert {position.instrument.id: position.quantity for position in await broker.positions()} == {buy.instrument.id: buy.quantity}


async def test_a_limit_order_rests_until_it_is_cancelled(rig: Rig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    low = order(rig, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    await broker.submit(low)
    await rig.advance()
    assert heard.kinds(low) in ([], ["OrderAccepted"])
    await broker.cancel(low.order_id)
    await heard.until(low, "OrderCancelled", rig.advance)
    assert heard.kinds(low) == ["OrderAccepted", "OrderCancelled"]


async def test_a_stop_order_waits_for_its_price_and_moves_when_told(rig: Rig, account: tuple[Broker, Listener]) -> None:
    """A sell stop far below the market is moved to just below it, and fills once the price has been there."""
    broker, heard = account
    buy, stop = order(rig, "buy"), order(rig, "stop", side=OrderSide.SELL, type=OrderType.STOP_MARKET, stop_price=Decimal("1.00"))
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    await broker.submit(stop)
    await heard.until(stop, "OrderAccepted", rig.advance)
    await rig.advance()
    assert heard.kinds(stop) == ["OrderAccepted"]
    await broker.modify(stop.order_id, stop_price=rig.price() - Decimal("0.50"))
    await heard.until(stop, "OrderFilled", rig.advance)


async def test_the_same_order_submitted_again_is_one_order(rig: Rig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(rig)
    await broker.submit(buy)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    await broker.submit(buy)
    await rig.advance()
    assert [position.quantity for position in await broker.positions()] == [buy.quantity]


async def test_prices_of_an_order_that_is_not_working_cannot_be_moved(rig: Rig, account: tuple[Broker, Listener]) -> None:
    with pytest.raises(OrderNotFound):
        await account[0].modify("NOBODYKNOWSTHISORDER", limit_price=Decimal(5))


async def test_cancelling_a_finished_order_is_no_news(rig: Rig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(rig)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    await broker.cancel(buy.order_id)
    await rig.advance()
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]


async def test_an_impossible_quantity_is_refused_or_rejected_with_a_reason(rig: Rig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wrong = order(rig, quantity=Decimal(0))
    with suppress(BrokerRefused):
        await broker.submit(wrong)
        await heard.until(wrong, "OrderRejected", rig.advance)
    assert rig.placed() == []


async def test_a_successor_is_told_what_became_of_the_orders_of_its_predecessor(rig: Rig) -> None:
    first = await rig.broker()
    buy = order(rig)
    await first.submit(buy)
    heard = Listener(first)
    await heard.until(buy, "OrderFilled", rig.advance)
    await heard.close()
    await first.close()

    second = await rig.broker()
    heard = Listener(second)
    await second.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", rig.advance)
    assert heard.filled(buy) == buy.quantity
    await heard.close()
    await second.close()


async def test_an_account_has_funds_and_can_be_checked(rig: Rig, account: tuple[Broker, Listener]) -> None:
    funds = await account[0].funds()
    assert funds.available > 0
    checks = await account[0].preflight()
    assert checks[0].name == "session"
    assert checks[0].passed


async def test_a_broker_that_is_closed_twice_is_closed_and_what_it_said_can_still_be_read(rig: Rig) -> None:
    broker = await rig.broker()
    buy = order(rig)
    await broker.submit(buy)
    heard = Listener(broker)
    await eventually(lambda: heard.kinds(buy), rig.advance)
    await broker.close()
    await broker.close()
    assert heard.kinds(buy)[0] == "OrderAccepted"
    await heard.close()


def test_a_broker_says_why_it_lacks_what_it_lacks() -> None:
    for rig in RIGS.values():
        assert all(len(reason) > 10 for reason in rig.adapter.lacks.values())
        assert issubclass(rig, NetworkRig) == (Capability.NETWORK not in rig.adapter.lacks)
    assert rigs_with(Capability.NETWORK) == ["upstox"]
