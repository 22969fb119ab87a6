"""How long a position at the venue had nothing that would close it: by the venue's own ledger, on the venue's clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.venues.upstox.ledger import Entry, Happened, Ledger

Holding = tuple[str, str]
"""(user id, instrument key)."""


class _Working(NamedTuple):
    key: str
    side: str
    quantity: int


class ExposureMeter:
    """A position is covered by orders at the venue that would close all of it, or by levels that the runtime watches and can act on.

    Everything else counts, from the ledger's entry that made it so (or the look that found the runtime's watch gone) to the
    one that ends it. `watched` gives the units of a holding that the runtime watches the stop of now.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], datetime], watched: Callable[[str, str], int]) -> None:
        self._ledger, self._now, self._watched = ledger, now, watched
        self._read = 0
        self._net: defaultdict[Holding, int] = defaultdict(int)
        self._working: defaultdict[str, dict[str, _Working]] = defaultdict(dict)
        self._since: dict[Holding, datetime] = {}
        self.longest: dict[Holding, timedelta] = {}
        """Of each holding that was ever without an exit; one that still is counts up to the last look."""

    def look(self) -> None:
        entries = self._ledger.entries()
        for entry in entries[self._read :]:
            self._apply(entry)
            self._judge(entry.ts)
        self._read = len(entries)
        self._judge(self._now())

    def at_most(self, seconds: float) -> bool:
        self.look()
        return all(length <= timedelta(seconds=seconds) for length in self.longest.values())

    def _apply(self, entry: Entry) -> None:
        working, order_id = self._working[entry.user_id], entry.order_id
        match entry.what:
            case Happened.PLACED:
                working[order_id] = _Working(entry.instrument_key, entry.side, entry.quantity)
            case Happened.FILLED:
                self._net[entry.user_id, entry.instrument_key] += entry.quantity if entry.side == "BUY" else -entry.quantity
                left = working[order_id].quantity - entry.quantity
                working[order_id] = working[order_id]._replace(quantity=left)
            case Happened.CANCELLED | Happened.REJECTED:
                del working[order_id]
            case _:
                pass

    def _judge(self, now: datetime) -> None:
        for holding, net in self._net.items():
            if self._is_covered(holding, net):
                self._since.pop(holding, None)
                continue
            since = self._since.setdefault(holding, now)
            self.longest[holding] = max(self.longest.get(holding, timedelta(0)), now - since)

    def _is_covered(self, holding: Holding, net: int) -> bool:
        user, key = holding
        closing = "SELL" if net > 0 else "BUY"
        resting = sum(order.quantity for order in self._working[user].values() if (order.key, order.side) == (key, closing))
        return resting >= abs(net) or self._watched(user, key) >= abs(net)
