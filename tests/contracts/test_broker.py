"""What every `Broker` promises, and what one that speaks over a wire promises when the wire fails. The venue's books decide."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from loguru import logger

from runtime.accounts import OpenOrder
from runtime.errors import BrokerRefused, BrokerUnavailable, OrderNotFound, OutcomeUnknown, RateLimited, RefusalReason, SessionExpired
from runtime.events import BrokerChanged
from runtime.orders import OrderFilled, OrderRejected, OrderType
from runtime.ports import Broker
from runtime.signals import OrderSide
from tests.contracts.broker_rigs import PATIENCE_SECONDS, RIGS, WIRE_RIGS, Listener, UpstoxRig, order


@pytest.fixture(params=sorted(RIGS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with RIGS[request.param]() as ready:
        yield ready


@pytest.fixture(params=sorted(WIRE_RIGS))
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[UpstoxRig]:
    async with WIRE_RIGS[request.param]() as ready:
        yield ready


@pytest.fixture
async def account(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Broker, Listener]]:
    """Of the rig or wire that the test has asked for."""
    where = request.getfixturevalue("wire" if "wire" in request.fixturenames else "rig")
    broker = await where.broker()
    listener = Listener(broker)
    yield broker, listener
    await listener.close()
    await broker.close()


def faults() -> Any:
    from tests.venues.upstox import faults as module

    return module


async def eventually(what: Callable[[], bool], advance: Callable[[], Awaitable[None]] | None = None) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not what():
            if advance is not None:
                await advance()
            await asyncio.sleep(0.02)


# --- every broker ---


async def test_a_market_order_is_accepted_and_filled_once(rig: Any, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(rig)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    fill = heard.of(buy)[1]
    assert isinstance(fill, OrderFilled)
    assert fill.quantity == buy.quantity
    assert {position.instrument.id: position.quantity for position in await broker.positions()} == {buy.instrument.id: buy.quantity}


async def test_a_limit_order_rests_until_it_is_cancelled(rig: Any, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    low = order(rig, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    await broker.submit(low)
    await rig.advance()
    assert heard.kinds(low) in ([], ["OrderAccepted"])
    await broker.cancel(low.order_id)
    await heard.until(low, "OrderCancelled", rig.advance)
    assert heard.kinds(low) == ["OrderAccepted", "OrderCancelled"]


async def test_a_stop_order_waits_for_its_price_and_moves_when_told(rig: Any, account: tuple[Broker, Listener]) -> None:
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


async def test_prices_of_an_order_that_is_not_working_cannot_be_moved(rig: Any, account: tuple[Broker, Listener]) -> None:
    with pytest.raises(OrderNotFound):
        await account[0].modify("NOBODYKNOWSTHISORDER", limit_price=Decimal(5))


async def test_cancelling_a_finished_order_is_no_news(rig: Any, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(rig)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", rig.advance)
    await broker.cancel(buy.order_id)
    await rig.advance()
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]


async def test_an_impossible_quantity_is_refused_or_rejected_with_a_reason(rig: Any, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wrong = order(rig, quantity=Decimal(0))
    with suppress(BrokerRefused):
        await broker.submit(wrong)
        await heard.until(wrong, "OrderRejected", rig.advance)
    assert rig.placed() == []


async def test_a_successor_is_told_what_became_of_the_orders_of_its_predecessor(rig: Any) -> None:
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
    fills = [event for event in heard.of(buy) if isinstance(event, OrderFilled)]
    assert sum(fill.quantity for fill in fills) == buy.quantity
    await heard.close()
    await second.close()


async def test_an_account_has_funds_and_can_be_checked(rig: Any, account: tuple[Broker, Listener]) -> None:
    funds = await account[0].funds()
    assert funds.available > 0
    checks = await account[0].preflight()
    assert checks[0].name == "session"
    assert checks[0].passed


# --- over a wire: three outcomes ---


async def test_a_refused_connection_means_that_nothing_was_sent(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    """The order host is gone; the reads' host is there."""
    from adapters.brokers.upstox import AccountSettings, UpstoxBroker

    client = wire.client("U1")
    import msgspec

    client.endpoints = msgspec.structs.replace(client.endpoints, orders="http://127.0.0.1:9")
    broker = UpstoxBroker(client, wire.table, wire.now, settings=AccountSettings(**wire.settings))
    with pytest.raises(BrokerUnavailable):
        await broker.submit(order(wire))
    assert (wire.placed(), wire.calls("place")) == ([], 0)
    await broker.close()


async def _unknown(wire: UpstoxRig, broker: Broker, fault: Any) -> Any:
    buy = order(wire)
    wire.venue.faults.add(fault)
    with pytest.raises(OutcomeUnknown):
        await broker.submit(buy)
    return buy


TAKEN = {
    "the answer is lost": lambda: faults().DropAfterCommit(operation="place"),
    "the answer comes too late": lambda: faults().Hang(operation="place", taken=True),
    "an HTML page with 200": lambda: faults().Answer(operation="place", status=200, body="<html>ok</html>", taken=True),
    "an empty list of ids": lambda: faults().Rewrite(operation="place", fields={"data.order_ids": []}),
    "no data at all": lambda: faults().Rewrite(operation="place", fields={"data": None}),
    "500": lambda: faults().Answer(operation="place", status=500, taken=True),
    "502": lambda: faults().Answer(operation="place", status=502, body="<html>bad gateway</html>", taken=True),
    "503": lambda: faults().Answer(operation="place", status=503, taken=True),
    "504": lambda: faults().Answer(operation="place", status=504, body="", taken=True),
}
NOT_TAKEN = {
    "the request is lost": lambda: faults().DropBeforeCommit(operation="place"),
    "silence": lambda: faults().Hang(operation="place", taken=False),
    "500": lambda: faults().Answer(operation="place", status=500),
    "504": lambda: faults().Answer(operation="place", status=504, body="<html/>"),
    "an HTML page with 200": lambda: faults().Answer(operation="place", status=200, body="<html>maintenance</html>"),
}


@pytest.mark.parametrize("how", sorted(TAKEN))
async def test_an_order_taken_whose_answer_is_no_use_is_unknown_then_found_and_never_doubled(
    how: str, wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    buy = await _unknown(wire, broker, TAKEN[how]())
    await broker.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]
    assert wire.calls("place") <= 1  # a call that hangs is not counted


@pytest.mark.parametrize("how", sorted(NOT_TAKEN))
async def test_an_order_that_never_arrived_is_absent_only_after_the_time_in_which_it_could_turn_up(
    how: str, wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    buy = await _unknown(wire, broker, NOT_TAKEN[how]())
    started = time.monotonic()
    await broker.reconcile([OpenOrder(order=buy)])
    assert heard.kinds(buy) == []
    while "OrderAbsent" not in heard.kinds(buy):
        await broker.reconcile([OpenOrder(order=buy)])
        await asyncio.sleep(0.05)
        assert time.monotonic() - started < PATIENCE_SECONDS
    assert time.monotonic() - started >= wire.settings["visibility_seconds"]
    assert wire.placed() == []
    assert wire.calls("place") <= 1


async def test_an_order_that_turns_up_late_is_found_and_is_never_called_absent(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    """Hidden from every book for a while: the search by tag finds it once it can be seen."""
    broker, heard = account
    wire.venue.faults.add(faults().LateAcceptance(seconds=2.0), faults().DropAfterCommit(operation="place"))
    buy = order(wire)
    with pytest.raises(OutcomeUnknown):
        await broker.submit(buy)
    await broker.reconcile([OpenOrder(order=buy)])
    assert heard.kinds(buy) == []
    for _ in range(6):
        await wire.advance()
    await broker.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", wire.advance)
    assert "OrderAbsent" not in heard.kinds(buy)


async def test_an_order_is_not_absent_while_the_account_has_moved_further_than_its_visible_orders_say(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    """The order book lags, trades and positions do not: whatever the time, nothing is proved."""
    broker, heard = account
    buy = await _unknown(wire, broker, TAKEN["the answer is lost"]())
    wire.venue.faults.add(faults().LaggingBook(seconds=3600.0))
    for _ in range(30):
        await broker.reconcile([OpenOrder(order=buy)])
        await asyncio.sleep(0.05)
    assert "OrderAbsent" not in heard.kinds(buy)


async def test_the_broker_does_not_know_a_repeated_tag_so_a_second_submit_looks_first(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    buy = await _unknown(wire, broker, TAKEN["the answer is lost"]())
    await broker.submit(buy)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]
    assert wire.calls("place") == 1


async def test_too_many_requests_is_a_definite_no_after_which_the_order_may_be_sent_again(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().TooManyRequests(operation="place", retry_after=3))
    buy = order(wire)
    with pytest.raises(RateLimited) as limited:
        await broker.submit(buy)
    assert limited.value.retry_after == 3.0
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


async def test_a_refusal_is_not_believed_when_the_order_is_in_the_book(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().Answer(operation="place", status=400, code="UDAPI100036", message="Invalid Input", taken=True))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("UDAPI100036", 400, RefusalReason.INVALID),
        ("UDAPI1154", 403, RefusalReason.EGRESS),
        ("UDAPI100074", 423, RefusalReason.MARKET_CLOSED),
        ("UDAPI1156", 403, RefusalReason.PERMISSION),
    ],
)
async def test_a_refusal_says_why(code: str, status: int, reason: RefusalReason, wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    wire.venue.faults.add(faults().Answer(operation="place", status=status, code=code, message="no"))
    with pytest.raises(BrokerRefused) as refused:
        await account[0].submit(order(wire))
    assert (refused.value.reason, refused.value.code) == (reason, code)
    assert wire.placed() == []


async def test_an_order_accepted_and_then_rejected_is_rejected_with_the_risk_desks_reason(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().RejectLater(seconds=1.0))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderRejected", wire.advance)
    end = heard.of(buy)[-1]
    assert isinstance(end, OrderRejected)
    assert end.reason.startswith("insufficient_funds: RMS:Margin Exceeds")


async def test_without_its_stream_a_broker_learns_the_same_by_polling(wire: UpstoxRig) -> None:
    wire.settings |= {"poll_seconds": 0.1}
    wire.venue.faults.add(faults().StreamUpdates(how="drop", times=1000))
    broker = await wire.broker()
    wire.venue.core.portfolio.close(1006)
    heard = Listener(broker)
    wire.venue.faults.add(faults().RejectLater(seconds=1.0))
    rejected, filled = order(wire, "a"), order(wire, "b")
    await broker.submit(rejected)
    await broker.submit(filled)
    await heard.until(rejected, "OrderRejected", wire.advance)
    await heard.until(filled, "OrderFilled", wire.advance)
    assert [heard.kinds(each)[-1] for each in (rejected, filled)] == ["OrderRejected", "OrderFilled"]
    await heard.close()


@pytest.mark.parametrize("how", ["duplicate", "reorder", "drop"])
async def test_updates_that_are_doubled_reordered_or_lost_change_nothing(how: str, wire: UpstoxRig) -> None:
    wire.settings |= {"look_seconds": 0.2}
    wire.venue.faults.add(faults().StreamUpdates(how=how, times=50), faults().PartialFills(quantities=(30, 30), every=0.5))
    broker = await wire.broker()
    heard = Listener(broker)
    buy = order(wire, lots=4)
    await broker.submit(buy)
    await eventually(lambda: sum(e.quantity for e in heard.of(buy) if isinstance(e, OrderFilled)) >= buy.quantity, wire.advance)
    fills = [event for event in heard.of(buy) if isinstance(event, OrderFilled)]
    ledger = wire.venue.ledger.entries(tag=buy.order_id)
    traded = [(entry.quantity, entry.price) for entry in ledger if entry.trade_id]
    assert [(fill.quantity, fill.price) for fill in fills] == traded
    assert len({fill.fill_id for fill in fills}) == len(fills)
    await heard.close()


async def test_what_is_filled_of_a_cancelled_order_is_told_before_its_end(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().PartialFills(quantities=(30,), every=3600.0))
    buy = order(wire, lots=4, type=OrderType.LIMIT, limit_price=(wire.price() + 5).quantize(Decimal("1.00")))
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    await broker.cancel(buy.order_id)
    await heard.until(buy, "OrderCancelled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled", "OrderCancelled"]


@pytest.mark.parametrize("fault", ["DropBeforeCommit", "DropAfterCommit"])
async def test_a_cancel_whose_answer_is_lost_is_sent_again_until_the_order_is_gone(
    fault: str, wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    low = order(wire, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    await broker.submit(low)
    wire.venue.faults.add(getattr(faults(), fault)(operation="cancel"))
    await broker.cancel(low.order_id)
    await heard.until(low, "OrderCancelled", wire.advance)
    assert heard.kinds(low) == ["OrderAccepted", "OrderCancelled"]
    assert len(wire.venue.core.journal.of("place")) == 1


async def test_a_cancel_that_loses_the_race_against_the_fill_is_no_error(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(wire)
    await broker.submit(buy)
    await broker.cancel(buy.order_id)
    await eventually(lambda: heard.kinds(buy)[-1:] in (["OrderFilled"], ["OrderCancelled"]), wire.advance)
    assert heard.kinds(buy) in (["OrderAccepted", "OrderFilled"], ["OrderAccepted", "OrderCancelled"])


async def test_a_cancel_asked_for_before_the_order_is_known_to_exist_is_sent_once_it_is(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    low = order(wire, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    wire.venue.faults.add(faults().DropAfterCommit(operation="place"))
    with pytest.raises(OutcomeUnknown):
        await broker.submit(low)
    await broker.cancel(low.order_id)
    await broker.reconcile([OpenOrder(order=low, cancel_requested=True)])
    await heard.until(low, "OrderCancelled", wire.advance)


# --- sessions, limits, accounts ---


async def test_after_an_expired_token_the_broker_is_left_alone_until_there_is_a_new_one(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().ExpireTokens())
    with pytest.raises(SessionExpired, match="log in again"):
        await broker.submit(order(wire, "a"))
    asked = wire.calls("place") + wire.calls("order_book") + wire.calls("positions")
    for name in "bcdef":
        with pytest.raises(SessionExpired):
            await broker.submit(order(wire, name))
        with pytest.raises(SessionExpired):
            await broker.positions()
    await asyncio.sleep(0.3)
    assert wire.calls("place") + wire.calls("order_book") + wire.calls("positions") <= asked + 1
    assert any(isinstance(event, BrokerChanged) and event.needs_login for event in heard.all)

    core = wire.venue.core
    core.accounts.log_in(core.accounts.by_id["U1"], core.clock.now)
    broker.renew(wire.venue.token("U1"))
    buy = order(wire, "g")
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)


async def test_orders_beyond_the_limit_wait_for_the_next_second(wire: UpstoxRig) -> None:
    """Eight leave at once, eight a second later, the last four after another: two seconds at least."""
    wire.settings |= {"reprice_seconds": 60.0}
    broker = await wire.broker()
    started = time.monotonic()
    await asyncio.gather(*(broker.submit(order(wire, f"n{n}", type=OrderType.LIMIT, limit_price=Decimal("1.00"))) for n in range(20)))
    assert time.monotonic() - started >= 2.0
    assert wire.calls("place") == len(wire.placed()) == 20


async def test_a_large_order_is_sliced_and_its_slices_are_one_order(wire: UpstoxRig, account: tuple[Broker, Listener]) -> None:
    """1,500 units at a freeze quantity of 600 are three orders at the exchange."""
    broker, heard = account
    large = order(wire, quantity=Decimal(1500))
    await broker.submit(large)
    await eventually(lambda: sum(e.quantity for e in heard.of(large) if isinstance(e, OrderFilled)) >= 1500, wire.advance)
    assert [placed.quantity for placed in wire.placed()] == [600, 600, 300]
    assert heard.kinds(large)[0] == "OrderAccepted"


async def test_a_market_order_that_the_market_runs_away_from_follows_it(wire: UpstoxRig) -> None:
    """The venue keeps it unfilled until the adapter moves its limit to where the market is."""
    broker = await wire.broker()
    heard = Listener(broker)
    wire.venue.faults.add(faults().PartialFills(quantities=()))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    (call,) = wire.venue.core.journal.of("modify")
    assert json.loads(call.body)["price"] == pytest.approx(float(wire.price()) * 1.02, rel=0.02)
    await heard.close()


async def test_words_nobody_has_heard_of_and_missing_numbers_do_no_harm(wire: UpstoxRig) -> None:
    wire.settings |= {"look_seconds": 0.2}
    broker = await wire.broker()
    heard = Listener(broker)
    strange = {"data.*.status": "half done", "data.*.average_price": None, "data.*.brand_new_field": 1, "data.*.quantity": "60"}
    wire.venue.faults.add(faults().Rewrite(operation="order_book", fields=strange, times=3))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    await heard.close()


async def test_two_accounts_share_nothing(wire: UpstoxRig) -> None:
    one, two = await wire.broker("U1"), await wire.broker("U2")
    heard_one, heard_two = Listener(one), Listener(two)
    buy = order(wire)
    await one.submit(buy)
    await heard_one.until(buy, "OrderFilled", wire.advance)
    assert heard_two.of(buy) == []
    assert await two.positions() == []
    wire.venue.faults.add(faults().ExpireTokens(user="U1"))
    with pytest.raises(SessionExpired):
        await one.funds()
    assert (await two.funds()).available > 0
    for listener in (heard_one, heard_two):
        await listener.close()


async def test_the_token_is_in_no_log_no_error_and_no_repr(wire: UpstoxRig) -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0, diagnose=False)
    token = wire.venue.token("U1")
    shown: list[str] = []
    try:
        broker = await wire.broker()
        for fault in (*TAKEN.values(), *NOT_TAKEN.values()):
            wire.venue.faults.add(fault())
            try:
                await broker.submit(order(wire, f"{len(shown)}"))
            except (OutcomeUnknown, BrokerUnavailable, BrokerRefused) as error:
                shown += [str(error), repr(error)]
        wire.venue.faults.add(faults().ExpireTokens())
        with pytest.raises(SessionExpired) as expired:
            await broker.funds()
        shown += [str(expired.value), repr(broker), repr(broker.__dict__)]
    finally:
        logger.remove(sink)
    assert len(shown) > 20
    assert token not in "".join(lines + shown)


async def test_a_caller_that_is_cancelled_while_an_order_is_under_way_leaves_it_to_be_found(
    wire: UpstoxRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.venue.faults.add(faults().Hang(operation="place", taken=True))
    buy = order(wire)
    task = asyncio.create_task(broker.submit(buy))
    await eventually(lambda: bool(wire.placed()))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await broker.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


async def test_orders_leave_by_the_accounts_own_address(wire: UpstoxRig) -> None:
    from adapters.brokers.upstox import AccountSettings, UpstoxBroker
    from adapters.upstox import AccessToken, Egress, UpstoxClient

    client = UpstoxClient(
        AccessToken(wire.venue.token("U1")), wire.client("U1").endpoints, egress=Egress(local_address="127.0.0.5"), algo_name=None
    )
    broker = UpstoxBroker(client, wire.table, wire.now, settings=AccountSettings(**wire.settings))
    await broker.submit(order(wire))
    assert {call.peer for call in wire.venue.core.journal.of("place")} == {"127.0.0.5"}
    await broker.close()
