"""Whatever goes wrong with whatever orders: none is placed twice, none fills beyond its size, and what is told is what happened."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.accounts import Capability, OpenOrder
from runtime.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from runtime.orders import Order, OrderType
from runtime.ports import Broker
from runtime.signals import OrderSide
from tests.contracts.rig import PATIENCE_SECONDS, Listener, NetworkRig, order
from tests.contracts.rigs import network_rig, rigs_with

ENDS = {"OrderFilled", "OrderCancelled", "OrderRejected", "OrderAbsent"}
TROUBLES: list[tuple[str, dict[str, Any]]] = [
    ("DropBeforeCommit", {}),
    ("DropAfterCommit", {}),
    ("Answer", {"status": 500, "taken": True}),
    ("Answer", {"status": 504, "taken": False}),
    ("Answer", {"status": 400, "code": "UDAPI100036", "taken": True}),
    ("Answer", {"status": 200, "body": "<html/>", "taken": True}),
    ("TooManyRequests", {}),
    ("LateAcceptance", {"seconds": 3.0}),
    ("RejectLater", {"seconds": 1.0}),
    ("PartialFills", {"quantities": (30,), "every": 1.0}),
]
STREAM = ["duplicate", "reorder", "drop"]
plans = st.lists(st.tuples(st.sampled_from([OrderSide.BUY, OrderSide.SELL]), st.integers(1, 30), st.booleans()), min_size=1, max_size=4)
schedules = st.lists(st.tuples(st.sampled_from(TROUBLES), st.integers(1, 4)), max_size=4)


@pytest.mark.parametrize("name", rigs_with(Capability.NETWORK))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans, schedule=schedules, streams=st.lists(st.sampled_from(STREAM), max_size=4))
def test_no_order_is_placed_twice_or_filled_beyond_its_size(
    name: str, plan: list[tuple[OrderSide, int, bool]], schedule: list[tuple[tuple[str, dict[str, Any]], int]], streams: list[str]
) -> None:
    asyncio.run(play(name, plan, schedule, streams))


async def play(
    name: str, plan: list[tuple[OrderSide, int, bool]], schedule: list[tuple[tuple[str, dict[str, Any]], int]], streams: list[str]
) -> None:
    async with network_rig(name)() as wire:
        broker = await wire.broker(look_seconds=0.2, poll_seconds=0.1)
        heard = Listener(broker)
        for (fault, fields), nth in schedule:
            wire.inject(getattr(wire.faults, fault)(operation="place", nth=nth, **fields))
        wire.inject(*(wire.faults.StreamUpdates(how=how, times=2) for how in streams))
        sent = [
            order(
                wire,
                f"{number}",
                side=side,
                lots=lots,
                **({"type": OrderType.LIMIT, "limit_price": resting_price(wire, side)} if rests else {}),
            )
            for number, (side, lots, rests) in enumerate(plan)
        ]
        refused = {each.order_id for each in sent if not await submitted(broker, each)}
        for each, (_, _, rests) in zip(sent, plan, strict=True):
            if rests:
                await broker.cancel(each.order_id)
        open_orders = [each for each in sent if each.order_id not in refused]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(is_over(heard, each) for each in open_orders):
                await broker.reconcile([OpenOrder(order=each) for each in open_orders if not is_over(heard, each)])
                await wire.advance()
                await asyncio.sleep(0.02)
        for each in sent:
            placed = sum(slice_.quantity for slice_ in wire.placed() if slice_.tag == each.order_id)
            assert placed in (0, each.quantity)
            assert heard.fills(each) == wire.fills(each.order_id)
            assert heard.filled(each) <= placed
            assert not (placed and "OrderAbsent" in heard.kinds(each))
        await heard.close()


def resting_price(wire: NetworkRig, side: OrderSide) -> Decimal:
    return Decimal("1.00") if side is OrderSide.BUY else (wire.price() * 3).quantize(Decimal("1.00"))


async def submitted(broker: Broker, sent: Order) -> bool:
    """As the runtime does it: what certainly did not arrive is sent again, what may have is looked for."""
    for _ in range(4):
        try:
            await broker.submit(sent)
        except OutcomeUnknown:
            return True
        except BrokerUnavailable:
            continue
        except BrokerRefused:
            return False
        return True
    return False


def is_over(heard: Listener, sent: Order) -> bool:
    kinds = {*heard.kinds(sent)}
    return heard.filled(sent) >= sent.quantity or bool(kinds & (ENDS - {"OrderFilled"}))
