"""`runtime.ports.Journal` on MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import MaxKey
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from adapters.mongo.client import Database, only_duplicates
from adapters.mongo.collections import JOURNAL, SNAPSHOTS, Index
from runtime.events import JournalRecord

_APPEND_BATCH = 2_000
_READ_BATCH = 1_000


class MongoJournal:
    """One document per record under `_id` {u: user, n: number}, so that a number can be taken once only.

    Records go `retention` after their time; a start reads only those after the newest snapshot. A call that fails for want
    of a server is repeated for `patience_seconds`.
    """

    def __init__(
        self, url: str, database: str = "shoal", *, retention: timedelta = timedelta(days=400), patience_seconds: float = 30.0
    ) -> None:
        self._retention = retention
        self._database = Database(url, database, patience_seconds)
        self._records = self._database.collection(JOURNAL)
        self._snapshots = self._database.collection(SNAPSHOTS)

    async def prepare(self) -> None:
        """Create what the journal needs in an empty database. Idempotent."""
        await self._database.prepare({JOURNAL: [Index(["at"], keep=self._retention)]})

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        fenced: set[str] = set()
        for start in range(0, len(records), _APPEND_BATCH):
            batch = records[start : start + _APPEND_BATCH]
            pending = [_document(record) for record in batch if record.user_id not in fenced]
            while pending and not await self._database.run(lambda pending=pending: self._insert(pending)):
                pending = await self._database.run(lambda pending=pending: self._left_over(pending, fenced))
        return sorted(fenced)

    async def read(self, user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        while True:
            span = {"$gt": {"u": user_id, "n": after}, "$lt": {"u": user_id, "n": MaxKey()}}
            cursor = self._records.find({"_id": span}).sort("_id", ASCENDING).limit(_READ_BATCH)
            page = await self._database.run(lambda cursor=cursor: cursor.clone().to_list(_READ_BATCH))
            for document in page:
                record = _record(document)
                yield record
                after = record.number
            if len(page) < _READ_BATCH:
                return

    async def save_snapshot(self, user_id: str, number: int, state: bytes) -> None:
        """Keep the newest: one of a lower number than the stored one changes nothing."""
        await self._database.run(lambda: self._save_newer(user_id, number, state))

    async def load_snapshot(self, user_id: str) -> tuple[int, bytes] | None:
        found = await self._database.run(lambda: self._snapshots.find_one({"_id": user_id}))
        return (found["number"], found["state"]) if found else None

    async def close(self) -> None:
        await self._database.close()

    async def _insert(self, documents: list[dict[str, Any]]) -> bool:
        """Whether all were new. Ordered: after a number that is taken, nothing of that user is written in its stead."""
        try:
            await self._records.insert_many(documents, ordered=True)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return False
        return True

    async def _left_over(self, documents: list[dict[str, Any]], fenced: set[str]) -> list[dict[str, Any]]:
        """What is still to be written. A stored document equal to ours is our own, from a call whose answer was lost."""
        wanted = {"_id": {"$in": [document["_id"] for document in documents]}}
        stored = {_key(document): document async for document in self._records.find(wanted)}
        fenced.update(
            document["_id"]["u"] for document in documents if _key(document) in stored and _differ(document, stored[_key(document)])
        )
        return [document for document in documents if _key(document) not in stored and document["_id"]["u"] not in fenced]

    async def _save_newer(self, user_id: str, number: int, state: bytes) -> None:
        older = {"_id": user_id, "number": {"$lt": number}}
        try:
            await self._snapshots.update_one(older, {"$set": {"number": number, "state": state}}, upsert=True)
        except DuplicateKeyError:  # there is one, and it is not older
            return


def _document(record: JournalRecord) -> dict[str, Any]:
    """`ts` is text because BSON cuts times to milliseconds; `at` is the same time for the expiry index."""
    return {
        "_id": {"u": record.user_id, "n": record.number},
        "epoch": record.epoch,
        "ts": record.ts.isoformat(),
        "at": record.ts,
        "input": record.input,
        "events": list(record.events),
        "last_seq": record.last_seq,
    }


def _record(document: dict[str, Any]) -> JournalRecord:
    return JournalRecord(
        user_id=document["_id"]["u"],
        number=document["_id"]["n"],
        epoch=document["epoch"],
        ts=datetime.fromisoformat(document["ts"]),
        input=document["input"],
        events=tuple(document["events"]),
        last_seq=document["last_seq"],
    )


def _key(document: dict[str, Any]) -> tuple[str, int]:
    return document["_id"]["u"], document["_id"]["n"]


def _differ(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return any(ours[name] != theirs[name] for name in ("epoch", "ts", "input", "events", "last_seq"))
