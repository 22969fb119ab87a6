"""What a `Broker` over a network promises when the network fails: three outcomes, and never an order too many."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self

import msgspec
import pytest

from runtime.accounts import Capability, OpenOrder
from runtime.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown, RateLimited
from runtime.orders import Order, OrderRejected, OrderType
from runtime.ports import Broker
from tests.contracts.account_process import ANSWERED
from tests.contracts.rig import PATIENCE_SECONDS, Listener, NetworkRig, eventually, order
from tests.contracts.rigs import RIGS, rigs_with

TAKEN: dict[str, Callable[[Any], Any]] = {
    "the answer is lost": lambda faults: faults.DropAfterCommit(operation="place"),
    "the answer comes too late": lambda faults: faults.Hang(operation="place", taken=True),
    "an HTML page with 200": lambda faults: faults.Answer(operation="place", status=200, body="<html>ok</html>", taken=True),
    "an empty list of ids": lambda faults: faults.Rewrite(operation="place", fields={"data.order_ids": []}),
    "no data at all": lambda faults: faults.Rewrite(operation="place", fields={"data": None}),
    "500": lambda faults: faults.Answer(operation="place", status=500, taken=True),
    "502": lambda faults: faults.Answer(operation="place", status=502, body="<html>bad gateway</html>", taken=True),
    "503": lambda faults: faults.Answer(operation="place", status=503, taken=True),
    "504": lambda faults: faults.Answer(operation="place", status=504, body="", taken=True),
}
NOT_TAKEN: dict[str, Callable[[Any], Any]] = {
    "the request is lost": lambda faults: faults.DropBeforeCommit(operation="place"),
    "silence": lambda faults: faults.Hang(operation="place", taken=False),
    "500": lambda faults: faults.Answer(operation="place", status=500),
    "502": lambda faults: faults.Answer(operation="place", status=502, body="<html>bad gateway</html>"),
    "503": lambda faults: faults.Answer(operation="place", status=503),
    "504": lambda faults: faults.Answer(operation="place", status=504, body="<html/>"),
    "an HTML page with 200": lambda faults: faults.Answer(operation="place", status=200, body="<html>maintenance</html>"),
}


async def unknown(wire: NetworkRig, broker: Broker, fault: Callable[[Any], Any]) -> Order:
    buy = order(wire)
    wire.inject(fault(wire.faults))
    with pytest.raises(OutcomeUnknown):
        await broker.submit(buy)
    return buy


async def reconciled_until(broker: Broker, buy: Order, heard: Listener, kind: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while kind not in heard.kinds(buy):
            await broker.reconcile([OpenOrder(order=buy)])
            await asyncio.sleep(0.05)


async def test_a_refused_connection_means_that_nothing_was_sent(wire: NetworkRig) -> None:
    """The order host is gone; the reads' host is there."""
    broker = await wire.broker(**wire.nowhere())
    with pytest.raises(BrokerUnavailable):
        await broker.submit(order(wire))
    assert (wire.placed(), wire.calls("place")) == ([], 0)


@pytest.mark.parametrize("how", sorted(TAKEN))
async def test_an_order_taken_whose_answer_is_no_use_is_unknown_then_found_and_never_doubled(
    how: str, wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    buy = await unknown(wire, broker, TAKEN[how])
    await broker.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]
    assert wire.calls("place") <= 1  # a call that hangs is not counted


@pytest.mark.parametrize("how", sorted(NOT_TAKEN))
async def test_an_order_that_never_arrived_is_absent_only_after_the_time_in_which_it_could_turn_up(
    how: str, wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    buy = await unknown(wire, broker, NOT_TAKEN[how])
    started = time.monotonic()
    await broker.reconcile([OpenOrder(order=buy)])
    assert heard.kinds(buy) == []
    await reconciled_until(broker, buy, heard, "OrderAbsent")
    assert time.monotonic() - started >= wire.visibility_seconds
    assert wire.placed() == []
    assert wire.calls("place") <= 1


async def test_an_order_that_turns_up_late_is_found_and_is_never_called_absent(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    """Hidden from every book for a while: the search by tag finds it once it can be seen."""
    broker, heard = account
    wire.inject(wire.faults.LateAcceptance(seconds=2.0), wire.faults.DropAfterCommit(operation="place"))
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
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    """The order book lags, trades and positions do not: whatever the time, nothing is proved."""
    broker, heard = account
    wire.inject(wire.faults.StreamUpdates(how="drop", times=1000))
    buy = await unknown(wire, broker, TAKEN["the answer is lost"])
    wire.inject(wire.faults.LaggingBook(seconds=3600.0))
    for _ in range(30):
        await broker.reconcile([OpenOrder(order=buy)])
        await asyncio.sleep(0.05)
    assert "OrderAbsent" not in heard.kinds(buy)


async def test_an_order_that_the_order_book_does_not_show_is_found_by_its_tag(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wire.inject(wire.faults.StreamUpdates(how="drop", times=1000))
    wire.inject(wire.faults.Rewrite(operation="order_book", fields={"data": []}, times=1000))
    buy = await unknown(wire, broker, TAKEN["the answer is lost"])
    await wire.advance()
    await broker.reconcile([OpenOrder(order=buy)])
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]


async def test_an_order_whose_answer_was_lost_is_looked_for_before_it_is_sent_again(
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    """Nor does the stream tell of it."""
    broker, heard = account
    wire.inject(wire.faults.StreamUpdates(how="drop", times=1000))
    buy = await unknown(wire, broker, TAKEN["the answer is lost"])
    await broker.submit(buy)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]
    assert wire.calls("place") == 1


@pytest.mark.parametrize(("hint", "pause"), [(3, 3.0), (None, 1.0)], ids=["with a hint", "without"])
async def test_too_many_requests_is_a_definite_no_after_which_the_order_may_be_sent_again(
    hint: int | None, pause: float, wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.inject(wire.faults.TooManyRequests(operation="place", retry_after=hint))
    buy = order(wire)
    with pytest.raises(RateLimited) as limited:
        await broker.submit(buy)
    assert limited.value.retry_after == pause
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


async def test_a_refusal_is_not_believed_when_the_order_is_in_the_book(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    status, code, _ = wire.refusals[0]
    wire.inject(wire.faults.Answer(operation="place", status=status, code=code, message="no", taken=True))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


async def test_a_refusal_says_why(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    assert wire.refusals
    for number, (status, code, reason) in enumerate(wire.refusals):
        wire.inject(wire.faults.Answer(operation="place", status=status, code=code, message="no"))
        with pytest.raises(BrokerRefused) as refused:
            await account[0].submit(order(wire, f"{number}"))
        assert (refused.value.reason, refused.value.code) == (reason, code)
    assert wire.placed() == []


async def test_an_order_accepted_and_then_rejected_is_rejected_with_the_risk_desks_reason(
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.inject(wire.faults.RejectLater(seconds=1.0))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderRejected", wire.advance)
    end = heard.of(buy)[-1]
    assert isinstance(end, OrderRejected)
    assert end.reason.startswith("insufficient_funds: RMS:Margin Exceeds")


async def test_what_is_filled_of_a_cancelled_order_is_told_before_its_end(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    wire.inject(wire.faults.PartialFills(quantities=(30,), every=3600.0))
    buy = order(wire, lots=4, type=OrderType.LIMIT, limit_price=(wire.price() + 5).quantize(Decimal("1.00")))
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    await broker.cancel(buy.order_id)
    await heard.until(buy, "OrderCancelled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled", "OrderCancelled"]
    assert heard.filled(buy) == 30


@pytest.mark.parametrize("fault", ["DropBeforeCommit", "DropAfterCommit"])
async def test_a_cancel_whose_answer_is_lost_is_sent_again_until_the_order_is_gone(
    fault: str, wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    low = order(wire, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    await broker.submit(low)
    wire.inject(getattr(wire.faults, fault)(operation="cancel"))
    await broker.cancel(low.order_id)
    await heard.until(low, "OrderCancelled", wire.advance)
    assert heard.kinds(low) == ["OrderAccepted", "OrderCancelled"]
    assert wire.calls("place") == 1


async def test_a_cancel_that_loses_the_race_against_the_fill_is_no_error(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    broker, heard = account
    buy = order(wire)
    await broker.submit(buy)
    await broker.cancel(buy.order_id)
    await eventually(lambda: heard.kinds(buy)[-1:] in (["OrderFilled"], ["OrderCancelled"]), wire.advance)
    assert heard.kinds(buy) in (["OrderAccepted", "OrderFilled"], ["OrderAccepted", "OrderCancelled"])


async def test_a_cancel_asked_for_before_the_order_is_known_to_exist_is_sent_once_it_is(
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    low = order(wire, type=OrderType.LIMIT, limit_price=Decimal("1.00"))
    wire.inject(wire.faults.DropAfterCommit(operation="place"))
    with pytest.raises(OutcomeUnknown):
        await broker.submit(low)
    await broker.cancel(low.order_id)
    await broker.reconcile([OpenOrder(order=low, cancel_requested=True)])
    await heard.until(low, "OrderCancelled", wire.advance)


async def test_words_nobody_has_heard_of_and_missing_numbers_do_no_harm(wire: NetworkRig) -> None:
    broker = await wire.broker(look_seconds=0.2)
    heard = Listener(broker)
    strange = {"data.*.status": "half done", "data.*.average_price": None, "data.*.brand_new_field": 1, "data.*.quantity": "60"}
    wire.inject(wire.faults.Rewrite(operation="order_book", fields=strange, times=3))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert heard.kinds(buy) == ["OrderAccepted", "OrderFilled"]
    await heard.close()


async def test_a_caller_that_is_cancelled_while_an_order_is_under_way_leaves_it_to_be_found(
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    broker, heard = account
    wire.inject(wire.faults.Hang(operation="place", taken=True))
    buy = order(wire)
    task = asyncio.create_task(broker.submit(buy))
    await eventually(wire.placed)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await broker.reconcile([OpenOrder(order=buy)])
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]


class AccountProcess:
    """The rig's adapter in a process of its own: `async with AccountProcess(wire, "submit", order) as process`."""

    def __init__(self, wire: NetworkRig, what: str, sent: Order) -> None:
        (self._name,) = (name for name in rigs_with(Capability.NETWORK) if RIGS[name] is type(wire))
        self._what, self._told = what, wire.address() + b"\n" + msgspec.json.encode(sent) + b"\n"
        self.said: list[str] = []

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "tests.contracts.account_process", self._name, self._what)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert self._process.stdin is not None
        self._process.stdin.write(self._told)
        await self._process.stdin.drain()
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL: it has no time to say or write anything."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(line.decode().strip())


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
async def test_a_process_killed_between_request_and_answer_leaves_an_order_that_its_successor_settles_by_tag(
    taken: bool, wire: NetworkRig
) -> None:
    buy = order(wire)
    hang = wire.faults.Hang(operation="place", taken=taken)
    wire.inject(hang)
    async with AccountProcess(wire, "submit", buy) as first:
        await eventually(lambda: wire.placed() if taken else hang not in wire.waiting_faults())
        await first.kill()
    assert ANSWERED not in first.said

    async with AccountProcess(wire, "reconcile", buy) as successor:
        await eventually(lambda: {"OrderFilled", "OrderAbsent"} & {*successor.said}, wire.advance)
        assert [said for said in successor.said if said.startswith("Order")] == (
            ["OrderAccepted", "OrderFilled"] if taken else ["OrderAbsent"]
        )
    assert [placed.tag for placed in wire.placed()] == ([buy.order_id] if taken else [])
