"""Readable collections (orders, order_logs, trades, positions, execution_logs, subscriptions) as a projection of the journal's events.

They can be dropped and rebuilt at any time; nothing in the runtime reads them to decide anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from runtime.events import EventType, PublicEvent
from runtime.orders import Leg
from runtime.reconcile import Decision

Documents = dict[str, dict[str, dict[str, Any]]]
"""collection -> _id -> fields to set."""
ORDER_IDS = "order_ids"
"""Field of a decision's record: the orders that were sent for it, entry slices and the exits of an EXIT or a REVERSE, repeated ones too."""


class Projection(NamedTuple):
    """Documents that begin, fields to set in others, and order ids to add to the records of decisions that began before."""

    begun: Documents
    changed: Documents
    sent: dict[str, list[str]]


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
_DECISION = ("signal_id", "strategy", "strategy_key", "current", "position_id", "latency_ms", "reason", "detail")
"""What a decision's record takes of its events; the signal itself is in `signals`, once for all users."""
_WAITS = "WAIT"
"""An order in flight keeps the target waiting: SIGNAL_DECIDED or SIGNAL_SKIPPED says what comes of it."""
_DECIDED = frozenset({EventType.SIGNAL, EventType.SIGNAL_DECIDED})
_FILLS = frozenset({EventType.ORDER_PARTIALLY_FILLED, EventType.ORDER_FILLED})


def project(events: Iterable[PublicEvent]) -> Projection:
    """Later events over earlier ones.

    Projecting events again, up to the last, changes nothing, provided that what begins and is there already has its fields set
    like the others.
    """
    sent: dict[str, list[str]] = defaultdict(list)
    begun: Documents = defaultdict(dict)
    changed: Documents = defaultdict(dict)
    for event in events:
        for collection, key, fields in _changes(event):
            begins = event.type in _BEGINNINGS or collection in _WRITTEN_ONCE
            documents = (begun if begins or key in begun[collection] else changed)[collection]
            document = documents.setdefault(key, {"user_id": event.user_id})
            document.update(fields, ts=event.ts, seq=event.seq)
        if event.type is EventType.ORDER_SUBMITTED and (key := _decided_by(event)) is not None:
            decision = begun["execution_logs"].get(key)
            (sent[key] if decision is None else decision.setdefault(ORDER_IDS, [])).append(str(event.data["order_id"]))
    return Projection(begun, changed, sent)


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
    elif event.type in _DECIDED:
        decided = {"decision": data.get("decision", _WAITS), "target": data["side"], "rule": data["rule"]}
        yield "execution_logs", _decision_id(event), _picked(data) | decided | {"reason": data["rule"], "detail": data["reason"]}
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


def _decided_by(event: PublicEvent) -> str | None:
    """Key of the decision that an order was sent for; None where the runtime or a command asked for it."""
    data = event.data
    signal_id = data["signal_id"] if data["leg"] == Leg.ENTRY else data.get("decided_by")
    return None if signal_id is None else f"{event.user_id}:{signal_id}"


def _picked(data: dict[str, object]) -> dict[str, Any]:
    return {name: data[name] for name in _DECISION if name in data}


def _decision_id(event: PublicEvent) -> str:
    return f"{event.user_id}:{event.data['signal_id']}"
