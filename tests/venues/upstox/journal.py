"""What was asked of the venue: every request with its answer's status, secrets taken out."""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime

import msgspec

_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key"})
_SECRET_FIELDS = re.compile(r'((?:client_secret|access_token|extended_token|code|password)"?\s*[=:]\s*"?)([^"&\s,}]+)')
_HIDDEN = "***"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """`ts` is venue time; `status` None: the connection was cut or is still held. `fault` names the one that struck."""

    ts: datetime
    host: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    user_id: str | None
    operation: str
    peer: str
    status: int | None
    fault: str | None


class RequestJournal:
    """The newest `calls_max` requests and counts of all of them per operation."""

    def __init__(self, calls_max: int) -> None:
        self.calls: deque[Call] = deque(maxlen=calls_max)
        self.counts: dict[str, int] = {}

    def add(self, call: Call) -> None:
        self.calls.append(call)
        self.counts[call.operation] = self.counts.get(call.operation, 0) + 1

    def of(self, operation: str) -> list[Call]:
        return [call for call in self.calls if call.operation == operation]


def safe_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name: _HIDDEN if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()}


def safe_text(text: str) -> str:
    return _SECRET_FIELDS.sub(lambda found: found[1] + _HIDDEN, text)
