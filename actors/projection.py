"""Readable collections (orders, order_logs, trades, positions, execution_logs, subscriptions) as a projection of the journal's events.

They can be dropped and rebuilt at any time; nothing in the runtime reads them to decide anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from runtime.events import EventType, PublicEvent
from runtime.reconcile import Decision

Documents = dict[str, dict[str, dict[str, Any]]]
"""collection -> _id -> fields to set."""

_ORDER_STATUS = {
    EventType.ORDER_SUBMITTED: "SUBMITTED",
    EventType.ORDER_ACCEPTED: "ACCEPTED",
    EventType.ORDER_PARTIALLY_FILLED: "PARTIALLY_FILLED",
    EventType.ORDER_FILLED: "FILLED",
    EventType.ORDER_CANCELLED: "CANCELLED",
    EventType.ORDER_REJECTED: "REJECTED",
    EventType.ORDER_UNKNOWN: "UNKNOWN",
}
_POSITION_STATUS = {
    EventType.POSITION_OPENED: "OPEN",
    EventType.POSITION_CHANGED: "OPEN",
    EventType.POSITION_CLOSED: "CLOSED",
}
_BEGINNINGS = frozenset({EventType.ORDER_SUBMITTED, EventType.POSITION_OPENED, EventType.SIGNAL})
_WRITTEN_ONCE = frozenset({"trades", "order_logs"})
_DECISION = ("signal_id", "strategy", "strategy_key", "current", "latency_ms", "reason", "detail")
"""What a decision's record takes of its events; the signal itself is in `signals`, once for all users."""
_WAITS = "WAIT"
"""An order in flight keeps the target waiting: what came of it is seen in the orders with its id, or in a later SKIP."""
_FILLS = frozenset({EventType.ORDER_PARTIALLY_FILLED, EventType.ORDER_FILLED})


def project(events: Iterable[PublicEvent]) -> tuple[Documents, Documents]:
    """Documents that begin with these events, and fields to set in others; later events over earlier ones.

    Projecting events again changes nothing, provided that what begins and is there already has its fields set like the others.
    """
    begun: Documents = defaultdict(dict)
    changed: Documents = defaultdict(dict)
    for event in events:
        for collection, key, fields in _changes(event):
            begins = event.type in _BEGINNINGS or collection in _WRITTEN_ONCE
            documents = (begun if begins or key in begun[collection] else changed)[collection]
            document = documents.setdefault(key, {"user_id": event.user_id})
            document.update(fields, ts=event.ts, seq=event.seq)
    return begun, changed


def _changes(event: PublicEvent) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(collection, `_id`, fields to set)."""
    data = event.data
    if (status := _ORDER_STATUS.get(event.type)) is not None:
        yield "orders", str(data["order_id"]), {**data, "status": status}
        if event.type in _FILLS:
            yield "trades", event.event_id, data
        yield "order_logs", event.event_id, {**data, "message": "SUBMIT" if event.type is EventType.ORDER_SUBMITTED else status}
    elif (status := _POSITION_STATUS.get(event.type)) is not None:
        yield "positions", str(data["position_id"]), {**data, "status": status}
    elif event.type is EventType.SIGNAL:
        decided = {"decision": data.get("decision", _WAITS), "target": data["side"], "reason": data["rule"], "detail": data["reason"]}
        yield "execution_logs", _decision_id(event), _picked(data) | decided
    elif event.type is EventType.SIGNAL_SKIPPED:
        yield "execution_logs", _decision_id(event), _picked(data) | {"decision": Decision.SKIP, "target": data.get("side")}
    elif event.type is EventType.COMMAND_ACCEPTED and "repeated" not in data:
        yield from _subscriptions(event)


def _subscriptions(event: PublicEvent) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """`since` and `until` bound the time in which the user follows the strategy; his session need not run all of it."""
    said: dict[str, Any] = event.data
    for settings in said.get("subscribed", ()):
        fields = {name: value for name, value in settings.items() if name not in ("key", "new")}
        fields |= {"strategy_key": settings["key"], "status": "PAUSED" if settings["paused"] else "ACTIVE", "until": None}
        yield "subscriptions", _subscription_id(event, settings["key"]), fields | ({"since": event.ts} if settings["new"] else {})
    for key in said.get("unsubscribed", ()):
        yield "subscriptions", _subscription_id(event, key), {"strategy_key": key, "status": "ENDED", "until": event.ts}


def _subscription_id(event: PublicEvent, key: str) -> str:
    return f"{event.user_id}:{key}"


def _picked(data: dict[str, object]) -> dict[str, Any]:
    return {name: data[name] for name in _DECISION if name in data}


def _decision_id(event: PublicEvent) -> str:
    return f"{event.user_id}:{event.data['signal_id']}"
