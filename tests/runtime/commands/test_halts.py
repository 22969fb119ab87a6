"""HALT and RESUME name exactly what they are about."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.commands import Halt, InvalidCommand, Resume, parse_command
from runtime.session import OnBreach

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def message(action: str = "HALT", user_id: str | None = None, **data: Any) -> bytes:
    return json.dumps({"action": action, "data": data} | ({} if user_id is None else {"user_id": user_id})).encode()


@pytest.mark.parametrize(
    ("user_id", "data"),
    [
        (None, {"scope": "platform"}),
        (None, {"scope": "strategy", "strategy": "ema_cross"}),
        ("123", {"scope": "user"}),
        ("123", {"scope": "subscription", "strategy": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d"}),
    ],
)
def test_each_scope_names_what_it_needs(user_id: str | None, data: dict[str, Any]) -> None:
    halt = parse_command(message(user_id=user_id, **data, positions="close", reason="drill"), NOW)
    resume = parse_command(message("RESUME", user_id=user_id, **data), NOW)
    assert isinstance(halt, Halt)
    assert isinstance(resume, Resume)
    assert (halt.user_id, halt.data.scope, halt.data.strategy) == (resume.user_id, resume.data.scope, resume.data.strategy)
    assert (halt.data.positions, halt.data.reason) == (OnBreach.CLOSE, "drill")


@pytest.mark.parametrize(
    ("user_id", "data"),
    [
        (None, {}),
        (None, {"scope": "world"}),
        (None, {"scope": "strategy"}),
        (None, {"scope": "user"}),
        (None, {"scope": "subscription", "strategy": "ema_cross"}),
        ("123", {"scope": "platform"}),
        ("123", {"scope": "strategy", "strategy": "ema_cross"}),
        ("123", {"scope": "user", "strategy": "ema_cross"}),
        ("123", {"scope": "subscription"}),
    ],
)
@pytest.mark.parametrize("action", ["HALT", "RESUME"])
def test_a_halt_that_says_too_little_or_too_much_is_refused_rather_than_guessed_at(
    action: str, user_id: str | None, data: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCommand):
        parse_command(message(action, user_id=user_id, **data), NOW)
