"""What happened in a session, told from the events that everybody can read: for the demo's table, summary and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import numpy as np

from actors.market_progress import MarketStatistics
from actors.wire import LatencySamples
from runtime.events import EventType, PublicEvent

ZERO = Decimal(0)


class UserDay:
    """One user's figures so far."""

    def __init__(self) -> None:
        self.status = ""
        self.orders = 0
        self.open: dict[str, str] = {}
        self.closed = 0
        self.realised = ZERO
        self.fees = ZERO
        self.last = ""


class Day:
    """Fold over public events, in any number of `take` calls; an event delivered twice counts once."""

    def __init__(self) -> None:
        self.users: dict[str, UserDay] = {}
        self.counts: Counter[EventType] = Counter()
        self.exits: Counter[str] = Counter()
        self.entries: Counter[tuple[str, str, str]] = Counter()
        self.order_ids: Counter[str] = Counter()
        self.seq: dict[str, int] = {}
        self.seq_gaps = 0
        self.events = 0
        self.answers: set[str] = set()
        """Ids of the commands that were answered."""

    def take(self, events: Iterable[PublicEvent]) -> None:
        for event in events:
            last = self.seq.get(event.user_id)
            if last is not None and event.seq <= last:
                continue
            if (last is not None and event.seq != last + 1) or (last is None and event.seq != 1):
                self.seq_gaps += 1
            self.seq[event.user_id] = event.seq
            self.events += 1
            self.counts[event.type] += 1
            if not event.user_id.startswith("_"):
                self._take(self.users.setdefault(event.user_id, UserDay()), event)

    def _take(self, user: UserDay, event: PublicEvent) -> None:
        data = event.data
        user.last = event.type if event.type is not EventType.HEARTBEAT else user.last
        match event.type:
            case EventType.SESSION_STARTED | EventType.SESSION_STOPPED | EventType.SESSION_PAUSED | EventType.SESSION_RESUMED:
                user.status = str(data["status"])
            case EventType.COMMAND_ACCEPTED | EventType.COMMAND_REJECTED:
                self.answers.add(str(data["command_id"]))
            case EventType.ORDER_SUBMITTED:
                user.orders += 1
                self.order_ids[str(data["order_id"])] += 1
                if data["leg"] == "ENTRY":
                    self.entries[event.user_id, str(data["slot"]), str(data["signal_id"])] += 1
            case EventType.POSITION_OPENED:
                user.open[str(data["position_id"])] = str(data["instrument"])
            case EventType.POSITION_CLOSED:
                user.open.pop(str(data["position_id"]), None)
                user.closed += 1
                user.realised += Decimal(str(data["realised_pnl"]))
                user.fees += Decimal(str(data["fees"]))
                self.exits[str(data["exit_reason"])] += 1
            case _:
                pass

    @property
    def duplicate_orders(self) -> int:
        """Order ids submitted more than once, and entries of one user on one signal beyond the first."""
        repeated = sum(count - 1 for count in self.order_ids.values())
        return repeated + sum(count - 1 for count in self.entries.values())

    def summary(self, market: MarketStatistics, samples: Iterable[LatencySamples]) -> dict[str, object]:
        """The figures of the demo's JSON that come from the session itself. P&L is gross; fees are apart."""
        users = self.users.values()
        kept = list(samples)
        return {
            "users": len(self.users),
            "candles": market.candles,
            "signals": market.signals,
            "signals_by_rule": dict(market.signals_by_rule),
            "strategy_evaluations": market.strategy_evaluations,
            "orders_submitted": self.counts[EventType.ORDER_SUBMITTED],
            "orders_filled": self.counts[EventType.ORDER_FILLED],
            "positions_opened": self.counts[EventType.POSITION_OPENED],
            "positions_closed": self.counts[EventType.POSITION_CLOSED],
            "positions_open_at_end": sum(len(user.open) for user in users),
            "exits_by_reason": dict(self.exits),
            "realised_pnl": str(sum((user.realised for user in users), ZERO)),
            "fees": str(sum((user.fees for user in users), ZERO)),
            "signal_to_fill_ms": percentiles([value for s in kept if s.kind == "signal_to_fill" for value in s.milliseconds]),
            "tick_to_exit_order_ms": percentiles([value for s in kept if s.kind == "tick_to_exit_order" for value in s.milliseconds]),
            "events_published": self.events,
            "seq_gaps": self.seq_gaps,
            "duplicate_orders": self.duplicate_orders,
        }


def percentiles(milliseconds: list[float]) -> dict[str, float | int | None]:
    if not milliseconds:
        return {"p50": None, "p99": None, "samples": 0}
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "samples": len(milliseconds)}
