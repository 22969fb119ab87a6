"""A record of the orders that a desk has accepted, apart from the journal: what an audit holds the journal against."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from runtime.orders import Order


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. `at` is the wall clock; an order that a successor's desk takes over has a line of each."""

    at: datetime
    user_id: str
    order_id: str
    signal_id: str
    leg: str
    side: str
    quantity: str


class OrderLedger:
    """One file per host, appended to with one system call per order: what is written survives the death of the process."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, order: Order) -> None:
        line = Accepted(
            at=datetime.now(UTC),
            user_id=order.user_id,
            order_id=order.order_id,
            signal_id=order.signal_id,
            leg=order.leg,
            side=order.side,
            quantity=str(order.quantity),
        )
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")


def read_ledger(folder: Path) -> list[Accepted]:
    """All hosts' lines by time. A last line cut short by a death is no order: it was not written."""
    lines = [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().split(b"\n")[:-1]]
    return sorted((msgspec.json.decode(line, type=Accepted) for line in lines), key=lambda accepted: accepted.at)
