"""What a stream entry carries, whoever wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping

FIELD = b"m"
"""The field of entries we write (events, which others read, have `event`)."""

_PAYLOAD_FIELDS = (FIELD, b"event", b"command", b"payload", b"data")


def payload(fields: Mapping[bytes, bytes]) -> bytes:
    """The JSON an entry carries: in one field of any name, or spread over a field per key of a command.

    A spread command has an `action` field; its `data` is JSON text. Text that is no JSON is passed on as a string, so that
    validation names the field at fault.
    """
    if b"action" in fields:
        return json.dumps({_text(name): _value(name, value) for name, value in fields.items()}).encode()
    for name in _PAYLOAD_FIELDS:
        if name in fields:
            return fields[name]
    return next(iter(fields.values()), b"")


def _value(name: bytes, value: bytes) -> object:
    text = _text(value)
    if name != b"data":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
