"""Brokers' messages in `order_logs`: complete, bounded, without secrets, and never in an order's way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from actors import order_messages
from actors.order_messages import BODY_CHARACTERS_MAX, OrderMessages, audited
from actors.virtual_time import VirtualClock, run_virtual
from adapters.memory import MemoryStore
from runtime.accounts import BrokerMessage
from runtime.errors import ServerUnavailable
from tests.builders import at

CANARY = "c4n4ry-7d1b"
NOW = at("10:00")


def message(number: int = 0, **changes: Any) -> BrokerMessage:
    fields: dict[str, Any] = {
        "broker": "upstox",
        "operation": "POST 3/order/place",
        "order_id": f"O{number}",
        "request": {"tag": f"O{number}", "instrument_token": "NSE_FO|1"},
        "answer": b'{"status":"success","data":{"order_ids":["b1"]}}',
        "http_status": 200,
        "failure": None,
        "duration_ms": 12.5,
    }
    return BrokerMessage(**(fields | changes))


class AwayStore(MemoryStore):
    """Refuses its first `refusals` writes."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def insert_new(self, collection: str, documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
        if self.refusals:
            self.refusals -= 1
            raise ServerUnavailable("mongodb", "away")
        return await super().insert_new(collection, documents)


def kept(store: MemoryStore, *messages: BrokerMessage) -> list[dict[str, Any]]:
    async def record() -> list[dict[str, Any]]:
        records = OrderMessages(store, VirtualClock(NOW), lambda: NOW)
        note = records.of("u1")
        for each in messages:
            note(each)
        await records.close()
        return await store.find("order_logs", {})

    return run_virtual(record())


def test_a_message_is_kept_whole_under_its_user_and_order() -> None:
    (found,) = kept(MemoryStore(), message())
    assert found.pop("_id").startswith("u1:")
    assert found == {
        "user_id": "u1",
        "order_id": "O0",
        "message": "WIRE",
        "ts": NOW,
        "broker": "upstox",
        "operation": "POST 3/order/place",
        "request": {"tag": "O0", "instrument_token": "NSE_FO|1"},
        "answer": {"status": "success", "data": {"order_ids": ["b1"]}},
        "http_status": 200,
        "failure": None,
        "duration_ms": 12.5,
    }


PRIVATE = [
    "access_token",
    "Authorization",
    "user_id",
    "userName",
    "client_id",
    "clientCode",
    "email",
    "api_key",
    "apiSecret",
    "placed_by",
    "mobile_number",
]


@pytest.mark.parametrize("name", PRIVATE)
def test_what_names_or_authorises_the_customer_is_hidden_at_any_depth(name: str) -> None:
    body = {"data": [{name: CANARY, "tag": "T"}], name: {"a": CANARY}}
    assert audited(body) == {"data": [{name: "***", "tag": "T"}], name: "***"}
    assert audited(msgspec.json.encode(body)) == audited(body)


@pytest.mark.parametrize(
    "answer",
    [
        f'{{"errors":[{{"message":"Bearer {CANARY} is no token of ours"}}]}}',
        f"<html>access_token={CANARY}</html>",
        f"password: {CANARY}",
        '{"note":"eyJhbGciOiJIUzI1NiJ9.c4n4ry-7d1b.c4n4ry-7d1b"}',
    ],
)
def test_a_secret_inside_a_text_is_hidden(answer: str) -> None:
    text = msgspec.json.encode(audited(answer.encode())).decode()
    assert CANARY not in text
    assert "***" in text


@pytest.mark.parametrize(("body", "expected"), [(b"", None), (None, None), (b"no JSON", "no JSON"), (b"\xff", "�"), (b"[1.5]", [1.5])])
def test_a_body_is_kept_as_what_it_is(body: bytes | None, expected: object) -> None:
    assert audited(body) == expected


@pytest.mark.parametrize("body", [b"x" * 100_000, msgspec.json.encode({"rows": ["x" * 10] * 10_000})])
def test_a_long_body_is_cut(body: bytes) -> None:
    assert len(audited(body)) == BODY_CHARACTERS_MAX


def test_while_the_store_is_away_messages_wait_and_come_in_order() -> None:
    found = kept(AwayStore(1), *(message(number) for number in range(3)))
    assert sorted(each["order_id"] for each in found) == ["O0", "O1", "O2"]


def test_of_more_than_may_wait_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_messages, "WAITING_MAX", 2)
    found = kept(AwayStore(1), *(message(number) for number in range(5)))
    assert sorted(each["order_id"] for each in found) == ["O3", "O4"]
