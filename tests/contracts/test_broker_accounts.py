"""What a `Broker` over a network promises of its account: session, order rate, order stream, way out, secrets."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from loguru import logger

from adapters.upstox import Egress
from runtime.accounts import Capability
from runtime.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown, RefusalReason, SessionExpired
from runtime.orders import OrderCancelled, OrderType
from runtime.outages import BrokerChanged
from runtime.ports import Broker
from tests.contracts.rig import Listener, NetworkRig, eventually, order
from tests.contracts.rigs import rigs_with
from tests.contracts.test_broker_outcomes import NOT_TAKEN, TAKEN


def having(*capabilities: Capability) -> pytest.MarkDecorator:
    """Runs on brokers that have these, besides a network; the others say why they lack them."""
    return pytest.mark.parametrize("wire", rigs_with(Capability.NETWORK, *capabilities), indirect=True)


LOW: dict[str, Any] = {"type": OrderType.LIMIT, "limit_price": Decimal("1.00")}
"""Of an order that rests."""


# --- session ---


@having(Capability.DAILY_LOGIN)
async def test_after_an_expired_token_the_broker_is_left_alone_until_there_is_a_new_one(
    wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    def asked() -> int:
        return sum(wire.calls(operation) for operation in ("place", "order_book", "positions"))

    broker, heard = account
    wire.inject(wire.faults.ExpireTokens())
    with pytest.raises(SessionExpired, match="log in again"):
        await broker.submit(order(wire, "a"))
    before = asked()
    for name in "bcdef":
        with pytest.raises(SessionExpired):
            await broker.submit(order(wire, name))
        with pytest.raises(SessionExpired):
            await broker.positions()
    await asyncio.sleep(0.3)
    assert asked() <= before + 1
    assert any(isinstance(event, BrokerChanged) and event.needs_login for event in heard.all)

    broker.renew(wire.log_in())
    buy = order(wire, "g")
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)


@pytest.mark.parametrize("hours", [-1, 1], ids=["behind", "ahead"])
async def test_a_clock_that_is_wrong_by_an_hour_is_named_before_the_first_order_and_costs_no_second_one(
    hours: int, wire: NetworkRig, account: tuple[Broker, Listener]
) -> None:
    """Where requests are signed with their time, the first one is refused and tells the difference; elsewhere none is."""
    broker, heard = account
    wire.inject(wire.faults.WrongDate(seconds=-3600 * hours, times=1000))
    checks = {check.name: check for check in await broker.preflight()}
    assert not checks["clock"].passed
    told = re.match(r"this machine is (\d+\.\d) s (ahead of|behind) the broker: .* \(NTP\)", checks["clock"].detail)
    assert told is not None
    assert (float(told[1]), told[2]) == (pytest.approx(3600, abs=30), "ahead of" if hours > 0 else "behind")
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    assert [placed.tag for placed in wire.placed()] == [buy.order_id]
    assert wire.calls("place") == 1 + (Capability.SIGNED_REQUESTS not in wire.adapter.lacks)


# --- order rate and size ---


@having(Capability.ORDER_RATE)
async def test_orders_beyond_the_limit_wait_for_the_next_second(wire: NetworkRig) -> None:
    """Eight leave at once, eight a second later, the last four after another: two seconds at least."""
    broker = await wire.broker(reprice_seconds=60.0)
    started = time.monotonic()
    await asyncio.gather(*(broker.submit(order(wire, f"n{n}", **LOW)) for n in range(20)))
    assert time.monotonic() - started >= 2.0
    assert wire.calls("place") == len(wire.placed()) == 20


@having(Capability.ORDER_RATE)
async def test_the_limit_of_one_account_holds_up_nobody_else(wire: NetworkRig) -> None:
    one, two = await wire.broker("U1"), await wire.broker("U2")
    busy = [asyncio.create_task(one.submit(order(wire, f"n{n}", **LOW))) for n in range(24)]
    await eventually(lambda: len(wire.placed()) >= 8)
    await two.submit(order(wire, "other", user_id="U2", **LOW))
    assert not all(task.done() for task in busy)
    await asyncio.gather(*busy)


@having(Capability.FREEZE_SLICES)
async def test_a_large_order_is_sliced_and_its_slices_are_one_order(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    """1,500 units at a freeze quantity of 600 are three orders at the exchange."""
    broker, heard = account
    large = order(wire, quantity=Decimal(1500))
    await broker.submit(large)
    await eventually(lambda: heard.filled(large) >= 1500, wire.advance)
    assert [placed.quantity for placed in wire.placed()] == [600, 600, 300]
    assert heard.kinds(large)[0] == "OrderAccepted"


@having(Capability.FREEZE_SLICES)
async def test_slices_that_fill_stay_filled_where_another_one_is_rejected(wire: NetworkRig, account: tuple[Broker, Listener]) -> None:
    """There is money for two of the three slices."""
    broker, heard = account
    wire.spend("U1", wire.price() * 1300)
    large = order(wire, quantity=Decimal(1500))
    await broker.submit(large)
    await heard.until(large, "OrderCancelled", wire.advance)
    assert heard.filled(large) == 1200
    assert heard.fills(large) == wire.fills(large.order_id)
    end = heard.of(large)[-1]
    assert isinstance(end, OrderCancelled)
    assert "Margin" in end.reason


@having(Capability.PROTECTED_MARKET)
async def test_a_market_order_that_the_market_runs_away_from_follows_it(wire: NetworkRig) -> None:
    """The venue keeps it unfilled until the adapter moves its limit to where the market is: two percent beyond, at this price."""
    broker = await wire.broker()
    heard = Listener(broker)
    wire.inject(wire.faults.PartialFills(quantities=()))
    buy = order(wire)
    await broker.submit(buy)
    await heard.until(buy, "OrderFilled", wire.advance)
    (call,) = wire.requests("modify")
    assert json.loads(call.body)["price"] == pytest.approx(float(wire.price()) * 1.02, rel=0.02)
    await heard.close()


# --- order stream ---


@having(Capability.ORDER_STREAM)
async def test_without_its_stream_a_broker_learns_the_same_by_polling_and_stops_polling_once_it_is_back(wire: NetworkRig) -> None:
    broker = await wire.broker(poll_seconds=0.02, look_seconds=3600.0)
    heard = Listener(broker)
    wire.inject(wire.faults.FeedRefusal(status=503, times=1000, stream="portfolio"))
    wire.drop_streams()
    wire.inject(wire.faults.RejectLater(seconds=1.0))
    rejected, filled = order(wire, "a"), order(wire, "b")
    await broker.submit(rejected)
    await broker.submit(filled)
    await heard.until(rejected, "OrderRejected", wire.advance)
    await heard.until(filled, "OrderFilled", wire.advance)
    assert [heard.kinds(each)[-1] for each in (rejected, filled)] == ["OrderRejected", "OrderFilled"]

    resting = order(wire, "c", **LOW)
    await broker.submit(resting)
    polled = wire.calls("order_book")
    await eventually(lambda: wire.calls("order_book") > polled + 60)
    wire.admit_streams()
    await eventually(wire.streams)
    last = order(wire, "d")
    await broker.submit(last)
    await heard.until(last, "OrderFilled", wire.advance)
    polled, beats = wire.calls("order_book"), count()
    await eventually(lambda: next(beats) > 50, wire.advance)  # a second, in which there is an order to ask for
    assert wire.calls("order_book") <= polled + 1
    await heard.close()


@having(Capability.ORDER_STREAM)
@pytest.mark.parametrize("how", ["duplicate", "reorder", "drop"])
async def test_updates_that_are_doubled_reordered_or_lost_change_nothing(how: str, wire: NetworkRig) -> None:
    wire.inject(wire.faults.StreamUpdates(how=how, times=50), wire.faults.PartialFills(quantities=(30, 30), every=0.5))
    broker = await wire.broker(look_seconds=0.2)
    heard = Listener(broker)
    buy = order(wire, lots=4)
    await broker.submit(buy)
    await eventually(lambda: heard.filled(buy) >= buy.quantity, wire.advance)
    assert heard.fills(buy) == wire.fills(buy.order_id)
    assert len({event.fill_id for event in heard.of(buy) if hasattr(event, "fill_id")}) == len(heard.fills(buy))
    await heard.close()


# --- accounts beside each other, the way out, secrets ---


async def test_two_accounts_share_nothing(wire: NetworkRig) -> None:
    one, two = await wire.broker("U1"), await wire.broker("U2")
    heard_one, heard_two = Listener(one), Listener(two)
    buy = order(wire)
    await one.submit(buy)
    await heard_one.until(buy, "OrderFilled", wire.advance)
    assert heard_two.of(buy) == []
    assert await two.positions() == []
    wire.inject(wire.faults.ExpireTokens(user="U1"))
    with pytest.raises(SessionExpired):
        await one.funds()
    assert (await two.funds()).available > 0
    for listener in (heard_one, heard_two):
        await listener.close()


async def test_the_token_is_in_no_log_no_error_and_no_repr(wire: NetworkRig) -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), level=0, diagnose=False)
    token = wire.secret()
    shown: list[str] = []
    try:
        broker = await wire.broker()
        for fault in (*TAKEN.values(), *NOT_TAKEN.values()):
            wire.inject(fault(wire.faults))
            try:
                await broker.submit(order(wire, f"{len(shown)}"))
            except (OutcomeUnknown, BrokerUnavailable, BrokerRefused) as error:
                shown += [str(error), repr(error)]
        wire.inject(wire.faults.ExpireTokens())
        with pytest.raises(SessionExpired) as expired:
            await broker.funds()
        shown += [str(expired.value), repr(broker), repr(broker.__dict__)]
    finally:
        logger.remove(sink)
    assert len(shown) > 20
    assert token not in "".join(lines + shown)


@having(Capability.OWN_ADDRESS)
async def test_orders_leave_by_the_accounts_own_address(wire: NetworkRig) -> None:
    broker = await wire.broker(egress=Egress(local_address="127.0.0.5"))
    await broker.submit(order(wire))
    assert {call.peer for call in wire.requests("place")} == {"127.0.0.5"}


@having(Capability.OWN_ADDRESS)
async def test_orders_leave_by_the_accounts_own_proxy_and_not_at_all_without_it(wire: NetworkRig) -> None:
    """The proxy sends from an address of its own, which is what the venue sees; the other account goes out directly."""
    async with forward_proxy("127.0.0.6") as proxy:
        broker, other = await wire.broker(egress=Egress(proxy=proxy.url)), await wire.broker("U2")
        await broker.submit(order(wire))
        await other.submit(order(wire, "other", user_id="U2"))
        assert [call.peer for call in wire.requests("place")] == ["127.0.0.6", "127.0.0.1"]
        assert any(target.endswith("/order/place") for target in proxy.asked_for)
    with pytest.raises(BrokerUnavailable):
        await broker.submit(order(wire, "later"))
    assert len(wire.placed()) == 2


@having(Capability.ALGO_NAME)
async def test_orders_of_a_registered_algo_carry_its_name(wire: NetworkRig) -> None:
    wire.register_algo("U1", "shoal-7")
    plain, named = await wire.broker("U2"), await wire.broker("U1", algo_name="shoal-7")
    await plain.submit(order(wire, "plain", user_id="U2"))
    await named.submit(order(wire, "named"))
    assert [call.headers.get("x-algo-name") for call in wire.requests("place")] == [None, "shoal-7"]

    unknown = await wire.broker("U1", algo_name="nobody's")
    with pytest.raises(BrokerRefused) as refused:
        await unknown.submit(order(wire, "unknown"))
    assert refused.value.reason is RefusalReason.PERMISSION


class Proxy:
    def __init__(self, url: str) -> None:
        self.url = url
        self.asked_for: list[str] = []


@asynccontextmanager
async def forward_proxy(source: str) -> AsyncIterator[Proxy]:
    """An HTTP forward proxy that connects from the address `source`; one request per connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request, _, headers = head.partition(b"\r\n")
            method, target, version = request.decode().split(" ")
            proxy.asked_for.append(target)
            host, _, path = target.removeprefix("http://").partition("/")
            name, _, port = host.partition(":")
            length = next((int(line.split(b":")[1]) for line in headers.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
            body = await reader.readexactly(length)
            there, onward = await asyncio.open_connection(name, int(port), local_addr=(source, 0))
            kept = b"\r\n".join(line for line in headers.split(b"\r\n") if not line.lower().startswith(b"connection:"))
            onward.write(f"{method} /{path} {version}\r\nConnection: close\r\n".encode() + kept + body)
            await onward.drain()
            writer.write(await there.read())
            await writer.drain()
            onward.close()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = Proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield proxy
