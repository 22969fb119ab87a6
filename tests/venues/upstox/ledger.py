"""What happened at the venue, in order: the oracle that a client's own books are compared with."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Happened(StrEnum):
    PLACED = "PLACED"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    MODIFIED = "MODIFIED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    SETTLED = "SETTLED"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """`ts` is the venue's time. `quantity` in units: of the order, or of the fill; `price` of the fill, else the order's limit or None.

    `source` says who placed the order: `api`, `app` (by hand in the broker's own app), `gtt` or `rms`. SETTLED closes a position in
    a contract that has expired; no order belongs to it.
    """

    seq: int
    ts: datetime
    what: Happened
    user_id: str
    order_id: str
    tag: str | None
    source: str
    instrument_key: str
    side: str
    quantity: int
    price: Decimal | None = None
    trade_id: str | None = None
    reason: str | None = None


class Ledger:
    """Append-only."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)

    @property
    def next_seq(self) -> int:
        return len(self._entries) + 1

    def entries(self, what: Happened | None = None, *, user_id: str | None = None, tag: str | None = None) -> list[Entry]:
        return [
            entry
            for entry in self._entries
            if (what is None or entry.what is what) and (user_id is None or entry.user_id == user_id) and (tag is None or entry.tag == tag)
        ]

    def net(self, user_id: str) -> dict[str, int]:
        """Units bought less units sold, per instrument key; flat ones left out."""
        net: dict[str, int] = {}
        for fill in (entry for entry in self.entries(user_id=user_id) if entry.what in (Happened.FILLED, Happened.SETTLED)):
            net[fill.instrument_key] = net.get(fill.instrument_key, 0) + (fill.quantity if fill.side == "BUY" else -fill.quantity)
        return {key: quantity for key, quantity in net.items() if quantity}
