"""`runtime.ports.Store` on MongoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from adapters.collections import CANDLES, COLLECTIONS, JOURNAL
from adapters.documents import to_document, to_filter, to_value
from adapters.mongo.client import AsyncIOMotorCollection, Database, only_duplicates
from runtime.market import Candle, InstrumentId, Timeframe

_BATCH = 5_000
_WRITER = "_writer"
"""Field of an inserted document that tells our own insert, whose answer was lost, from somebody else's."""
_INCREMENTED_BY = "_incremented_by"
"""Field that tells whose increment was the last."""
_HIDDEN = {_WRITER: False, _INCREMENTED_BY: False}


class MongoStore:
    """Documents as `adapters.documents` describes them; those read have their key under `_id`.

    A call that fails for want of a server is repeated for `patience_seconds`; a repeated `increment_many` may skip a number.
    """

    def __init__(self, url: str, database: str = "shoal", *, patience_seconds: float = 30.0) -> None:
        self._database = Database(url, database, patience_seconds)
        self._candles = self._database.collection(CANDLES)

    async def prepare(self) -> None:
        """Create the indexes of an empty database. Idempotent."""
        await self._database.prepare({name: indexes for name, indexes in COLLECTIONS.items() if name != JOURNAL})

    async def insert_once(self, collection: str, key: str, document: Mapping[str, Any]) -> bool:
        target, writer = self._database.collection(collection), uuid4().hex
        fields = {**to_document(document), "_id": key, _WRITER: writer}

        async def insert() -> bool:
            try:
                await target.insert_one(fields)
            except DuplicateKeyError:
                return await target.find_one({"_id": key, _WRITER: writer}) is not None
            return True

        return await self._database.run(insert)

    async def upsert(self, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> None:
        await self._update(collection, {key: {"$set": to_document(document)} for key, document in documents.items()})

    async def add_to_sets(self, collection: str, field: str, values: Mapping[str, Sequence[str]]) -> None:
        await self._update(collection, {key: {"$addToSet": {field: {"$each": list(each)}}} for key, each in values.items()})

    async def get(self, collection: str, key: str) -> dict[str, Any] | None:
        target = self._database.collection(collection)
        return await self._database.run(lambda: target.find_one({"_id": key}, _HIDDEN))

    async def find(
        self, collection: str, where: Mapping[str, Any], *, sort: str | None = None, descending: bool = False, limit: int = 0
    ) -> list[dict[str, Any]]:
        order = [(sort, DESCENDING if descending else ASCENDING)] if sort else []
        cursor = self._database.collection(collection).find(to_filter(where), _HIDDEN, limit=limit)
        cursor = cursor.sort([*order, ("_id", ASCENDING)])
        return await self._database.run(lambda: cursor.clone().to_list(None))

    async def increment_many(self, collection: str, keys: Sequence[str], field: str) -> dict[str, int]:
        """Whoever incremented a key last has its new value; who was overtaken meanwhile does it again."""
        target, writer = self._database.collection(collection), uuid4().hex
        values: dict[str, int] = {}
        while missing := [key for key in keys if key not in values]:
            for start in range(0, len(missing), _BATCH):
                batch = missing[start : start + _BATCH]
                updates = [UpdateOne({"_id": key}, {"$inc": {field: 1}, "$set": {_INCREMENTED_BY: writer}}, upsert=True) for key in batch]
                await self._database.run(lambda updates=updates: target.bulk_write(updates, ordered=False))
                cursor = target.find({"_id": {"$in": batch}, _INCREMENTED_BY: writer}, {field: True})
                values |= {
                    found["_id"]: found[field] for found in await self._database.run(lambda cursor=cursor: cursor.clone().to_list(None))
                }
        return values

    async def insert_new(self, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
        target, present = self._database.collection(collection), list[str]()
        fresh = [{**to_document(document), "_id": key} for key, document in documents.items()]
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            present += await self._database.run(lambda batch=batch: _insert_absent(target, batch))
        return present

    async def delete(self, collection: str, key: str) -> None:
        target = self._database.collection(collection)
        await self._database.run(lambda: target.delete_one({"_id": key}))

    async def write_candles(self, candles: Sequence[Candle]) -> None:
        for start in range(0, len(candles), _BATCH):
            documents = [_candle_document(candle) for candle in candles[start : start + _BATCH]]
            await self._database.run(lambda documents=documents: self._insert_new(documents))

    async def read_candles(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        first, limit = (_candle_key(instrument, timeframe, time) for time in (start, end))
        cursor = self._candles.find({"_id": {"$gte": first, "$lt": limit}}).sort("_id", ASCENDING)
        return [_candle(document) for document in await self._database.run(lambda: cursor.clone().to_list(None))]

    async def close(self) -> None:
        await self._database.close()

    async def _update(self, collection: str, updates: Mapping[str, Mapping[str, Any]]) -> None:
        target = self._database.collection(collection)
        operations = [UpdateOne({"_id": key}, update, upsert=True) for key, update in updates.items()]
        for start in range(0, len(operations), _BATCH):
            batch = operations[start : start + _BATCH]
            await self._database.run(lambda batch=batch: target.bulk_write(batch, ordered=False))

    async def _insert_new(self, documents: list[dict[str, Any]]) -> None:
        await _insert_absent(self._candles, documents)


async def _insert_absent(target: AsyncIOMotorCollection[dict[str, Any]], documents: list[dict[str, Any]]) -> list[Any]:
    """The `_id`s that were there already."""
    try:
        await target.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        if not only_duplicates(error):
            raise
        return [documents[failure["index"]]["_id"] for failure in error.details["writeErrors"]]
    return []


def _candle_key(instrument: InstrumentId, timeframe: Timeframe, opened_at: datetime) -> dict[str, Any]:
    return {"i": instrument, "t": timeframe.value, "o": to_value(opened_at)}


def _candle_document(candle: Candle) -> dict[str, Any]:
    return {
        "_id": _candle_key(candle.instrument, candle.timeframe, candle.opened_at),
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
    }


def _candle(document: dict[str, Any]) -> Candle:
    key = document["_id"]
    return Candle(
        instrument=key["i"],
        timeframe=Timeframe(key["t"]),
        opened_at=key["o"],
        open=document["open"],
        high=document["high"],
        low=document["low"],
        close=document["close"],
        volume=document["volume"],
    )
