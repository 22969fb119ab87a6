"""Orders that close a position, at the local Upstox: settled sooner than others, and never given up while the broker has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import NamedTuple

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.accounts import OpenOrder
from runtime.errors import BrokerUnavailable, OutcomeUnknown
from runtime.orders import Leg, Order, OrderType
from runtime.ports import Broker
from runtime.signals import OrderSide
from tests.contracts.rig import PATIENCE_SECONDS, Listener, order
from tests.contracts.upstox_rig import ANSWER_SECONDS, UpstoxRig
from tests.venues.upstox import faults
from tests.venues.upstox.ledger import Happened

EXIT_SECONDS, ENTRY_SECONDS = 0.5, 60.0


class Account(NamedTuple):
    """In a position of two lots; nobody listens to the portfolio stream, so that the books alone tell."""

    rig: UpstoxRig
    broker: Broker
    heard: Listener

    def exit(self, name: str = "out") -> Order:
        return order(self.rig, name, side=OrderSide.SELL, leg=Leg.EXIT, reduce_only=True)

    def far_target(self) -> Order:
        """It rests."""
        level = {"type": OrderType.LIMIT, "limit_price": Decimal(5000)}
        return order(self.rig, "target", side=OrderSide.SELL, leg=Leg.TARGET, reduce_only=True, **level)

    async def lost(self, what: Order, fault: faults.AnyFault) -> None:
        self.rig.venue.faults.add(fault)
        with pytest.raises(OutcomeUnknown):
            await self.broker.submit(what)

    async def settle(self, what: Order, *until: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not set(until) & set(self.heard.kinds(what)):
                await self.broker.reconcile([OpenOrder(order=what)])
                await asyncio.sleep(0.02)

    def sold(self) -> int:
        return sum(entry.quantity for entry in self.rig.venue.ledger.entries(Happened.FILLED) if entry.side == "SELL")


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with UpstoxRig() as rig:
        broker = await rig.broker(exit_visibility_seconds=EXIT_SECONDS, visibility_seconds=ENTRY_SECONDS, exit_answer_seconds=0.2)
        heard = Listener(broker)
        entry = order(rig, "in")
        await broker.submit(entry)
        await heard.until(entry, "OrderFilled", rig.advance)
        rig.venue.faults.add(faults.StreamUpdates(how="drop", times=1000))
        yield Account(rig, broker, heard)
        await heard.close()
        await broker.close()


async def test_an_exit_that_never_arrived_is_absent_after_its_own_time_and_the_broker_was_asked_to_cancel_it(account: Account) -> None:
    out, started = account.exit(), time.monotonic()
    await account.lost(out, faults.DropBeforeCommit(operation="place"))
    await account.settle(out, "OrderAbsent")
    assert EXIT_SECONDS <= time.monotonic() - started < ENTRY_SECONDS
    assert account.rig.calls("cancel_many") == 1


async def test_an_exit_does_not_wait_for_a_slow_answer(account: Account) -> None:
    out, started = account.exit(), time.monotonic()
    await account.lost(out, faults.Hang(operation="place", taken=True))
    assert time.monotonic() - started < ANSWER_SECONDS
    await account.settle(out, "OrderFilled")
    assert account.sold() == 60


async def test_an_order_that_lagging_books_hide_is_cancelled_by_its_tag_and_not_called_absent(account: Account) -> None:
    await account.rig.venue.advance(601)
    target = account.far_target()
    account.rig.venue.faults.add(faults.LaggingBook(seconds=600.0, minutes=10.0))  # they show the entry still
    await account.lost(target, faults.DropAfterCommit(operation="place"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not account.rig.calls("cancel_many"):
            await account.broker.reconcile([OpenOrder(order=target)])
            await asyncio.sleep(0.02)
    (resting,) = account.rig.venue.ledger.entries(Happened.CANCELLED)
    assert resting.tag == target.order_id
    for _ in range(5):
        await account.broker.reconcile([OpenOrder(order=target)])
    assert account.rig.calls("cancel_many") == 1

    await account.rig.venue.advance(601)  # the books have caught up
    await account.settle(target, "OrderCancelled")
    assert account.heard.kinds(target) == ["OrderAccepted", "OrderCancelled"]


async def test_nothing_is_proved_while_the_broker_does_not_answer_whether_it_has_something_to_cancel(account: Account) -> None:
    out = account.exit()
    account.rig.venue.faults.add(faults.Answer(operation="cancel_many", status=503, times=3))
    await account.lost(out, faults.DropBeforeCommit(operation="place"))
    await account.settle(out, "OrderAbsent")
    assert account.rig.calls("cancel_many") == 4


async def test_an_exit_that_turns_up_after_all_is_cancelled_and_its_end_is_told(account: Account) -> None:
    target = account.far_target()
    account.rig.venue.faults.add(faults.LateAcceptance(seconds=30.0))
    await account.lost(target, faults.DropAfterCommit(operation="place"))
    await account.settle(target, "OrderAbsent")
    await account.rig.venue.advance(31)
    await account.settle(target, "OrderCancelled")
    assert [entry.tag for entry in account.rig.venue.ledger.entries(Happened.CANCELLED)] == [target.order_id]


async def test_sending_again_what_certainly_never_left_is_no_reason_to_call_it_absent(account: Account) -> None:
    out = account.exit()
    account.rig.venue.faults.add(faults.TooManyRequests(operation="place"))
    with pytest.raises(BrokerUnavailable):
        await account.broker.submit(out)
    await asyncio.sleep(EXIT_SECONDS)
    await account.broker.submit(out)
    await account.settle(out, "OrderFilled")
    assert "OrderAbsent" not in account.heard.kinds(out)
    assert account.sold() == 60
