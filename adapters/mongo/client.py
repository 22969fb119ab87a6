"""The one module that imports the driver. Writes are acknowledged by a majority, from its journal; calls have a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, TypeVar

from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import ASCENDING, DESCENDING, WriteConcern
from pymongo.errors import BulkWriteError, ConfigurationError, ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from adapters.collections import Index, check_declared
from runtime.errors import ServerUnavailable

T = TypeVar("T")

_CALL_SECONDS_MAX = 10.0
_FIND_SECONDS_MIN = 1.0
"""To find a server that is there takes longer than a call to it."""
_PAUSE_SECONDS = (0.02, 0.5)
_INDEX_OPTIONS_CONFLICT = 85
_DUPLICATE_KEY = 11000
_KEY_NOT_FOUND = 211
"""A server that has just started cannot yet check the cluster time that the driver remembers of the one before."""


class Database:
    """One database. Its collections are those declared in `collections`."""

    def __init__(self, url: str, name: str, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        seconds = min(_CALL_SECONDS_MAX, max(patience_seconds, _FIND_SECONDS_MIN))
        try:
            self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
                url,
                appname="shoal",
                tz_aware=True,
                timeoutMS=int(seconds * 1000),
                serverSelectionTimeoutMS=int(seconds * 1000),
            )
        except (ConfigurationError, ValueError) as error:
            raise ServerUnavailable(f"MONGODB_URL cannot be used: {error}") from error
        self._database = self._client[name]

    def collection(self, name: str) -> AsyncIOMotorCollection[dict[str, Any]]:
        check_declared(name)
        options: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)
        return self._database.get_collection(name, codec_options=options, write_concern=WriteConcern(w="majority", j=True))

    async def prepare(self, indexes: Mapping[str, Sequence[Index]]) -> None:
        """Create the indexes of these collections, or change how long their documents live. Idempotent."""
        for name, wanted in indexes.items():
            for index in wanted:
                await self.run(lambda name=name, index=index: self._ensure(name, index))

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """`operation`, again while the server is away or between primaries: only what may be repeated.

        The driver itself repeats a call within its time limit, exactly once in effect; this goes on after that.

        Raises:
            ServerUnavailable: it stayed away, or refused.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._patience_seconds
        pause, pause_max = _PAUSE_SECONDS
        while True:
            try:
                return await operation()
            except PyMongoError as error:
                if not _is_transient(error):
                    raise ServerUnavailable(f"MongoDB refused: {error}") from error
                if now() + pause > deadline:
                    raise ServerUnavailable(f"MongoDB did not answer for {self._patience_seconds:g} s: {error}") from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, pause_max)

    async def close(self) -> None:
        self._client.close()

    async def _ensure(self, name: str, index: Index) -> None:
        keys = [(field.removeprefix("-"), DESCENDING if field.startswith("-") else ASCENDING) for field in index.fields]
        lifetime: dict[str, Any] = {"expireAfterSeconds": int(index.keep.total_seconds())} if index.keep else {}
        try:
            await self.collection(name).create_index(keys, unique=index.unique, **lifetime)
        except OperationFailure as error:
            if error.code != _INDEX_OPTIONS_CONFLICT or not lifetime:
                raise
            await self._database.command("collMod", name, index={"keyPattern": dict(keys), **lifetime})


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether nothing else went wrong than that some `_id`s were there already."""
    failures, doubts = error.details["writeErrors"], error.details["writeConcernErrors"]
    return not doubts and all(failure["code"] == _DUPLICATE_KEY for failure in failures)


def _is_transient(error: PyMongoError) -> bool:
    """Elections, shutdowns and lost connections pass. So does a race of two upserts that both insert: the second time it updates."""
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"]) or only_duplicates(error)
    if isinstance(error, DuplicateKeyError):
        return True
    if isinstance(error, OperationFailure) and error.code == _KEY_NOT_FOUND:
        return True
    return isinstance(error, ConnectionFailure) or error.timeout or error.has_error_label("RetryableWriteError")
