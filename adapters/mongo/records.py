"""Journal records as documents: what one user's trader took in between two writes is one document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from runtime.events import JournalRecord

RECORDS_PER_DOCUMENT_MAX = 16

Document: TypeAlias = dict[str, Any]
"""{_id: {u: user, n: number of the first record}, epoch, at, records: [{ts, input, events, last_seq}, …]}.

`ts` is text because BSON cuts times to milliseconds; `at` is the time of the first record, for the expiry index.
"""


def to_documents(records: Sequence[JournalRecord]) -> list[Document]:
    """Neighbours that continue each other share a document.

    Whoever writes goes on from the end of a document that he wrote or read, so two incarnations that do not know of each
    other always collide on the first number of a document.
    """
    documents: list[Document] = []
    previous: JournalRecord | None = None
    for record in records:
        if previous is not None and _continues(previous, record) and len(documents[-1]["records"]) < RECORDS_PER_DOCUMENT_MAX:
            documents[-1]["records"].append(_fields(record))
        else:
            key_fields = {"u": record.user_id, "n": record.number}
            documents.append({"_id": key_fields, "epoch": record.epoch, "at": record.ts, "records": [_fields(record)]})
        previous = record
    return documents


def from_document(document: Document) -> Iterable[JournalRecord]:
    user_id, first, epoch = document["_id"]["u"], document["_id"]["n"], document["epoch"]
    for number, fields in enumerate(document["records"], start=first):
        yield JournalRecord(
            user_id=user_id,
            number=number,
            epoch=epoch,
            ts=datetime.fromisoformat(fields["ts"]),
            input=fields["input"],
            events=tuple(fields["events"]),
            last_seq=fields["last_seq"],
        )


def key(document: Document) -> tuple[str, int]:
    return document["_id"]["u"], document["_id"]["n"]


def is_continued_by(stored: Document, ours: Document) -> bool:
    """Whether what is stored under the key of `ours` is the beginning of it, or all of it and more."""
    common = min(len(stored["records"]), len(ours["records"]))
    return stored["epoch"] == ours["epoch"] and stored["records"][:common] == ours["records"][:common]


def without_first(document: Document, count: int) -> Document | None:
    """What is left of a document of which `count` records are stored."""
    records = document["records"][count:]
    if not records:
        return None
    user_id, first = key(document)
    at = datetime.fromisoformat(records[0]["ts"])
    return {"_id": {"u": user_id, "n": first + count}, "epoch": document["epoch"], "at": at, "records": records}


def _continues(previous: JournalRecord, record: JournalRecord) -> bool:
    return record.user_id == previous.user_id and record.number == previous.number + 1 and record.epoch == previous.epoch


def _fields(record: JournalRecord) -> Document:
    return {"ts": record.ts.isoformat(), "input": record.input, "events": list(record.events), "last_seq": record.last_seq}
