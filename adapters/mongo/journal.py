"""`runtime.ports.Journal` on MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta

from bson import MaxKey
from pymongo import ASCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from adapters.collections import JOURNAL, SNAPSHOTS, Index
from adapters.mongo.client import Database, only_duplicates
from adapters.mongo.records import RECORDS_PER_DOCUMENT_MAX, Document, from_document, is_continued_by, key, to_documents, without_first
from runtime.events import JournalRecord

_APPEND_BATCH = 2_000
_READ_BATCH = 1_000
_USERS_PER_READ = 100


class MongoJournal:
    """Documents under `_id` {u: user, n: number of the first record in it}, so that a number can be taken once only.

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
        documents = to_documents(records)
        for start in range(0, len(documents), _APPEND_BATCH):
            pending = [document for document in documents[start : start + _APPEND_BATCH] if document["_id"]["u"] not in fenced]
            while pending and not await self._database.run(lambda pending=pending: self._insert(pending)):
                pending = await self._database.run(lambda pending=pending: self._left_over(pending, fenced))
        return sorted(fenced)

    async def read(self, user_id: str, after: int = 0) -> AsyncIterator[JournalRecord]:
        while True:
            page = await self._page({user_id: after}, _READ_BATCH)
            for document in page:
                for record in from_document(document):
                    if record.number > after:
                        yield record
                        after = record.number
            if len(page) < _READ_BATCH:
                return

    async def read_many(self, after: Mapping[str, int]) -> dict[str, list[JournalRecord]]:
        found: dict[str, list[JournalRecord]] = {user_id: [] for user_id in after}
        users = sorted(after)
        for start in range(0, len(users), _USERS_PER_READ):
            wanted = {user_id: after[user_id] for user_id in users[start : start + _USERS_PER_READ]}
            for document in await self._page(wanted, None):
                user_id = document["_id"]["u"]
                found[user_id] += [record for record in from_document(document) if record.number > wanted[user_id]]
        return found

    async def save_snapshots(self, snapshots: Mapping[str, tuple[int, bytes]]) -> None:
        updates = [
            UpdateOne({"_id": user_id, "number": {"$lt": number}}, {"$set": {"number": number, "state": state}}, upsert=True)
            for user_id, (number, state) in snapshots.items()
        ]
        if updates:
            await self._database.run(lambda: self._save_newer(updates))

    async def load_snapshots(self, user_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        cursor = self._snapshots.find({"_id": {"$in": list(user_ids)}})
        return {found["_id"]: (found["number"], found["state"]) for found in await self._database.run(lambda: cursor.clone().to_list(None))}

    async def close(self) -> None:
        await self._database.close()

    async def _page(self, after: Mapping[str, int], limit: int | None) -> list[Document]:
        """The documents that hold records of these users above these numbers, and perhaps one that ends there; ascending by user."""
        spans = [
            {"_id": {"$gt": {"u": user_id, "n": number + 1 - RECORDS_PER_DOCUMENT_MAX}, "$lt": {"u": user_id, "n": MaxKey()}}}
            for user_id, number in after.items()
        ]
        cursor = self._records.find({"$or": spans} if len(spans) > 1 else spans[0]).sort("_id", ASCENDING).limit(limit or 0)
        return await self._database.run(lambda: cursor.clone().to_list(limit))

    async def _insert(self, documents: list[Document]) -> bool:
        """Whether all were new. Ordered: after a number that is taken, nothing of that user is written in its stead."""
        try:
            await self._records.insert_many(documents, ordered=True)
        except BulkWriteError as error:
            if not only_duplicates(error):
                raise
            return False
        return True

    async def _left_over(self, documents: list[Document], fenced: set[str]) -> list[Document]:
        """What is still to be written. Stored records equal to ours are our own, from a call whose answer was lost."""
        wanted = {"_id": {"$in": [document["_id"] for document in documents]}}
        stored = {key(document): document async for document in self._records.find(wanted)}
        left: list[Document] = []
        for document in documents:
            user_id = document["_id"]["u"]
            theirs = stored.get(key(document))
            if theirs is not None and not is_continued_by(theirs, document):
                fenced.add(user_id)
            if user_id in fenced:
                continue
            rest = document if theirs is None else without_first(document, len(theirs["records"]))
            if rest is not None:
                left.append(rest)
        return left

    async def _save_newer(self, updates: list[UpdateOne]) -> None:
        try:
            await self._snapshots.bulk_write(updates, ordered=False)
        except DuplicateKeyError:
            return
        except BulkWriteError as error:  # there are some, and they are not older
            if not only_duplicates(error):
                raise
