"""An account in a process of its own, so that it can be killed: `python -m tests.contracts.account_process RIG submit|reconcile`.

Standard input: the account's address and the order, one line of JSON each. Every event of the broker is a line of its name.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from runtime.accounts import OpenOrder
from runtime.orders import Order
from runtime.ports import Broker
from tests.contracts.rigs import network_rig

ANSWERED = "answered"
"""Told once the order's submission has returned."""


async def main(rig: str, what: str) -> None:
    address, order = sys.stdin.buffer.readline(), msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    broker = await network_rig(rig).connect(address)
    telling = asyncio.create_task(_tell(broker))
    if what == "submit":
        await broker.submit(order)
        print(ANSWERED, flush=True)  # noqa: T201
    while what == "reconcile":
        await broker.reconcile([OpenOrder(order=order)])
        await asyncio.sleep(0.05)
    await telling


async def _tell(broker: Broker) -> None:
    async for event in broker.events():
        print(type(event).__name__, flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
