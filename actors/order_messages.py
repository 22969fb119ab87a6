"""What went to live brokers and what they answered, in `order_logs` beside the orders' own messages: for audit, never read back."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, cast
from uuid import uuid4

import msgspec
from loguru import logger

from configs.logging import redact
from runtime.accounts import BrokerMessage, OnBrokerMessage
from runtime.errors import ServerUnavailable
from runtime.ports import Clock, Store

COLLECTION = "order_logs"
BODY_CHARACTERS_MAX = 4_000
"""Of a request or an answer; the rest of a longer one is cut off."""
WAITING_MAX = 10_000
"""Messages that wait for the store; beyond, the oldest are given up and the log says so: an order never waits for its record."""
BATCH, RETRY_SECONDS, CLOSING_SECONDS = 500, 1.0, 2.0
HIDDEN = "***"

_PRIVATE = re.compile(
    r"token|passw|secret|api[_-]?key|authori[sz]ation|credential|(user|client|account)[_-]?(id|name|code)|e-?mail|mobile|phone|^(placed_by|ucc|pan)$",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"instrument_token"})
"""Called a token by brokers, and nothing but the name of a contract."""


class OrderMessages:
    """Records of one process. `of(user_id)` is given to the user's broker; `now` is the venue's time."""

    def __init__(self, store: Store, clock: Clock, now: Callable[[], datetime]) -> None:
        self._store, self._clock, self._now = store, clock, now
        self._waiting: deque[tuple[str, dict[str, Any]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    def of(self, user_id: str) -> OnBrokerMessage:
        def note(message: BrokerMessage) -> None:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.popleft()
                logger.error("the store is away for too long: the oldest record of a broker's message is given up")
            self._waiting.append((f"{user_id}:{uuid4().hex}", _document(message, user_id, self._now())))
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write())

        return note

    async def close(self) -> None:
        """What waits is written if the store takes it within a moment."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=CLOSING_SECONDS)
            self._writing.cancel()

    async def _write(self) -> None:
        while self._waiting:
            batch = dict(islice(self._waiting, BATCH))
            try:
                await self._store.insert_new(COLLECTION, batch)
            except ServerUnavailable as error:
                logger.warning("{} messages of brokers wait for the store: {}", len(self._waiting), error)
                await self._clock.sleep(RETRY_SECONDS)
            else:
                while self._waiting and self._waiting[0][0] in batch:
                    self._waiting.popleft()


def _document(message: BrokerMessage, user_id: str, now: datetime) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "order_id": message.order_id,
        "message": "WIRE",
        "ts": now,
        "broker": message.broker,
        "operation": message.operation,
        "request": audited(message.request),
        "answer": audited(message.answer),
        "http_status": message.http_status,
        "failure": message.failure,
        "duration_ms": message.duration_ms,
    }


def audited(body: object) -> Any:
    """A JSON value, or an answer's bytes, as it may be kept: fields that identify or authorise the customer are hidden.

    Text where it is no JSON, or is longer than `BODY_CHARACTERS_MAX` and so cut; None where there is nothing.
    """
    plain = _decoded(body) if isinstance(body, bytes) else body
    kept = _scrubbed(plain)
    text = kept if isinstance(kept, str) else msgspec.json.encode(kept).decode()
    return kept if len(text) <= BODY_CHARACTERS_MAX else text[:BODY_CHARACTERS_MAX]


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return body.decode(errors="replace")


def _scrubbed(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: HIDDEN if _is_private(name) and item is not None else _scrubbed(item) for name, item in fields.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in cast("list[Any]", value)]
    return redact(value) if isinstance(value, str) else value


def _is_private(name: str) -> bool:
    return name not in _HARMLESS and _PRIVATE.search(name) is not None
