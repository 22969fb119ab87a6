"""What must hold after any kill: checked on the events stream, the journal and the projected collections, each for itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from pymongo import MongoClient

from runtime.events import EventType, PublicEvent
from tests.faults.traders import Trader

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Intent(NamedTuple):
    """One order as its user meant it; two kills apart, it is still the same."""

    slot: str
    signal_id: str
    leg: str
    instrument: str
    side: str
    quantity: str


class Books(NamedTuple):
    """A system's own records, read after the day. `journal` holds each user's records by ascending number."""

    events: Mapping[str, Sequence[PublicEvent]]
    journal: Mapping[str, Sequence[Mapping[str, Any]]]
    positions: Sequence[Mapping[str, Any]]
    orders: Sequence[Mapping[str, Any]]


class Findings(NamedTuple):
    """Each list names what is wrong; all are empty after a good day."""

    duplicate_orders: list[str]
    seq_gaps: list[str]
    unpublished: list[str]
    positions_without_exit: list[str]
    missing_orders: list[str]
    unexpected_orders: list[str]


def read_books(events: Iterable[PublicEvent], mongodb_url: str, database: str) -> Books:
    by_user: dict[str, list[PublicEvent]] = defaultdict(list)
    for event in events:
        by_user[event.user_id].append(event)
    journal: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        documents = client[database]
        for document in documents["journal"].find().sort("_id", 1):
            user, first = document["_id"]["u"], document["_id"]["n"]
            journal[user] += [{"number": number, **record} for number, record in enumerate(document["records"], start=first)]
        return Books(by_user, journal, list(documents["positions"].find()), list(documents["orders"].find()))


def audit(books: Books, traders: Sequence[Trader], undisturbed: Sequence[PublicEvent]) -> Findings:
    """`undisturbed` are the events of the same day without kills."""
    control: dict[str, list[PublicEvent]] = defaultdict(list)
    for event in undisturbed:
        control[event.user_id].append(event)
    missing: list[str] = []
    unexpected: list[str] = []
    for trader in traders:
        if trader.is_steadfast:
            wanted, sent = intents(control[trader.user_id]), intents(books.events[trader.user_id])
            missing += [f"{trader.user_id}: {intent}" for intent in (Counter(wanted) - Counter(sent)).elements()]
            unexpected += [f"{trader.user_id}: {intent}" for intent in (Counter(sent) - Counter(wanted)).elements()]
    return Findings(
        duplicate_orders=_duplicate_orders(books),
        seq_gaps=_gaps(books),
        unpublished=_unpublished(books),
        positions_without_exit=_left_open(books),
        missing_orders=missing,
        unexpected_orders=unexpected,
    )


def intents(events: Iterable[PublicEvent]) -> list[Intent]:
    """An exit's own signal id is that of the position it closes, so the same trade has the same intents in every run."""
    return [Intent(*(str(event.data[name]) for name in Intent._fields)) for event in events if event.type is EventType.ORDER_SUBMITTED]


def journaled_events(records: Iterable[Mapping[str, Any]]) -> list[PublicEvent]:
    return [_decode_event(text) for record in records for text in record["events"]]


def _duplicate_orders(books: Books) -> list[str]:
    """An order id submitted twice, two entries of one user on one signal, or a position that was closed twice."""
    seen: Counter[tuple[str, ...]] = Counter()
    for source, by_user in (
        ("events", books.events),
        ("journal", {user: journaled_events(records) for user, records in books.journal.items()}),
    ):
        for user, events in by_user.items():
            for event in events:
                if event.type is EventType.ORDER_SUBMITTED:
                    seen[source, user, "order", str(event.data["order_id"])] += 1
                    if event.data["leg"] == "ENTRY":
                        seen[source, user, "entry", str(event.data["slot"]), str(event.data["signal_id"])] += 1
                elif event.type is EventType.POSITION_CLOSED:
                    seen[source, user, "close", str(event.data["position_id"])] += 1
    return [f"{' '.join(key)}: {count} times" for key, count in seen.items() if count > 1]


def _gaps(books: Books) -> list[str]:
    gaps = [_gap(f"events of {user}", [event.seq for event in events]) for user, events in books.events.items()]
    for user, records in books.journal.items():
        gaps.append(_gap(f"journal numbers of {user}", [record["number"] for record in records]))
        gaps.append(_gap(f"journaled events of {user}", [event.seq for event in journaled_events(records)]))
    return [gap for gap in gaps if gap is not None]


def _gap(name: str, numbers: Sequence[int]) -> str | None:
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            return f"{name}: {number} stands where {expected} should"
    return None


def _unpublished(books: Books) -> list[str]:
    """The stream must say exactly what the journal holds, in its order."""
    return [
        f"{user}: the journal and the stream differ"
        for user, records in books.journal.items()
        if journaled_events(records) != list(books.events.get(user, []))
    ]


def _left_open(books: Books) -> list[str]:
    """At the end of the day every position has been closed by an exit of its own, and the collections say so too."""
    opened = {str(e.data["position_id"]) for events in books.events.values() for e in events if e.type is EventType.POSITION_OPENED}
    closed = {str(e.data["position_id"]) for events in books.events.values() for e in events if e.type is EventType.POSITION_CLOSED}
    listed = {str(position["_id"]) for position in books.positions if position["status"] == "CLOSED"}
    left = [f"position {position_id} was never closed" for position_id in sorted(opened - closed)]
    left += [f"position {position_id} is not closed in the collection" for position_id in sorted(opened - listed)]
    return left + [f"order {order['_id']} is {order['status']}" for order in books.orders if order["status"] != "FILLED"]
