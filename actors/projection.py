"""Readable collections (orders, trades, positions, execution_logs) as a projection of the journal's events.

They can be dropped and rebuilt at any time; nothing in the runtime reads them to decide anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from runtime.events import EventType, PublicEvent

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
_FILLS = frozenset({EventType.ORDER_PARTIALLY_FILLED, EventType.ORDER_FILLED})


def project(events: Iterable[PublicEvent]) -> Documents:
    """Fields to upsert, later events over earlier ones. Projecting the same events again changes nothing."""
    documents: Documents = defaultdict(dict)
    for event in events:
        if (status := _ORDER_STATUS.get(event.type)) is not None:
            _merge(documents["orders"], str(event.data["order_id"]), event, status=status)
            if event.type in _FILLS:
                _merge(documents["trades"], event.event_id, event)
        elif (status := _POSITION_STATUS.get(event.type)) is not None:
            _merge(documents["positions"], str(event.data["position_id"]), event, status=status)
        elif event.type is EventType.SIGNAL:
            _merge(documents["execution_logs"], _decision_id(event), event, decision="TAKEN", signal_seq=event.seq)
        elif event.type is EventType.SIGNAL_SKIPPED:
            _merge(documents["execution_logs"], _decision_id(event), event, decision="SKIPPED")
    return documents


def _decision_id(event: PublicEvent) -> str:
    return f"{event.user_id}:{event.data['signal_id']}"


def _merge(documents: dict[str, dict[str, Any]], key: str, event: PublicEvent, **more: Any) -> None:
    fields = {name: value for name, value in event.data.items() if name != "context"}
    document = documents.setdefault(key, {"user_id": event.user_id})
    document.update(fields, ts=event.ts, seq=event.seq, **more)
