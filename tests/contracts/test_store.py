"""What every `Store` promises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.mongo import MongoStore
from runtime.errors import InternalError, InvalidInput
from runtime.market import IST, Candle, Timeframe
from runtime.ports import Store
from runtime.session import Mode

NOON = datetime(2026, 11, 20, 12, 0, 0, 123_456, tzinfo=IST)


def candle(minute: int, *, close: float = 100.0, instrument: str = "NSE:NIFTY", timeframe: Timeframe = Timeframe.M1) -> Candle:
    opened_at = datetime(2026, 11, 20, 9, 15, tzinfo=IST) + timedelta(minutes=minute)
    return Candle(instrument=instrument, timeframe=timeframe, opened_at=opened_at, open=100.0, high=110.0, low=90.0, close=close)


async def keys(store: Store, where: dict[str, object], **options: object) -> list[str]:
    return [document["_id"] for document in await store.find("orders", where, **options)]  # type: ignore[arg-type]


async def test_a_key_is_inserted_once(store: Store) -> None:
    assert await store.insert_once("commands", "c1", {"outcome": "accepted"})
    assert not await store.insert_once("commands", "c1", {"outcome": "rejected"})
    assert not await store.insert_once("commands", "c1", {"outcome": "accepted"})

    assert await store.get("commands", "c1") == {"_id": "c1", "outcome": "accepted"}
    assert await store.get("commands", "c2") is None


async def test_of_many_who_insert_a_key_at_once_one_succeeds(store: Store) -> None:
    outcomes = await asyncio.gather(*(store.insert_once("commands", "c1", {"by": number}) for number in range(20)))
    assert sum(outcomes) == 1


async def test_upsert_sets_fields_and_leaves_the_others(store: Store) -> None:
    await store.upsert("orders", {"o1": {"status": "SUBMITTED", "quantity": Decimal("30.50")}, "o2": {"status": "SUBMITTED"}})
    await store.upsert("orders", {"o1": {"status": "FILLED"}})
    await store.upsert("orders", {})

    assert await store.get("orders", "o1") == {"_id": "o1", "status": "FILLED", "quantity": "30.50"}
    assert await store.get("orders", "o2") == {"_id": "o2", "status": "SUBMITTED"}


async def test_texts_are_added_to_a_list_once_and_in_order(store: Store) -> None:
    await store.upsert("execution_logs", {"d1": {"decision": "ENTER", "order_ids": ["A"]}})
    for _ in range(2):
        await store.add_to_sets("execution_logs", "order_ids", {"d1": ["C", "A", "B", "C"], "d2": ["A"]})
    await store.add_to_sets("execution_logs", "order_ids", {})

    assert await store.get("execution_logs", "d1") == {"_id": "d1", "decision": "ENTER", "order_ids": ["A", "C", "B"]}
    assert await store.get("execution_logs", "d2") == {"_id": "d2", "order_ids": ["A"]}


async def test_values_come_back_as_documented(store: Store) -> None:
    document = {
        "price": Decimal("0.10"),
        "at": NOON,
        "day": date(2026, 11, 20),
        "mode": Mode.PAPER,
        "nested": {"1.5": [1, 2.5, None, True], "at": [NOON]},
        "sealed": b"\x00\xff",
    }
    await store.upsert("trades", {"t1": document})

    noon = datetime(2026, 11, 20, 6, 30, 0, 123_000, tzinfo=UTC)
    assert await store.get("trades", "t1") == {
        "_id": "t1",
        "price": "0.10",
        "at": noon,
        "day": "2026-11-20",
        "mode": "paper",
        "nested": {"1.5": [1, 2.5, None, True], "at": [noon]},
        "sealed": b"\x00\xff",
    }


@pytest.mark.parametrize(
    "document", [{"at": datetime(2026, 1, 1)}, {"a.b": 1}, {"$set": 1}, {"x": object()}, {"x": {"at": datetime(2026, 1, 1)}}]
)
async def test_what_a_store_could_not_give_back_is_refused(store: Store, document: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        await store.upsert("orders", {"o1": document})
    with pytest.raises(InvalidInput):
        await store.insert_once("orders", "o1", document)


async def test_a_document_read_is_a_copy(store: Store) -> None:
    await store.upsert("orders", {"o1": {"legs": [1]}})
    (await store.find("orders", {}))[0]["legs"].append(2)
    ((await store.get("orders", "o1")) or {})["legs"].append(3)
    assert await store.get("orders", "o1") == {"_id": "o1", "legs": [1]}


async def test_find_compares_sorts_and_limits(store: Store) -> None:
    await store.upsert(
        "orders",
        {
            "a": {"user_id": "u1", "n": 3, "status": "FILLED", "at": NOON, "tags": ["x", "y"], "leg": {"side": "BUY"}},
            "b": {"user_id": "u1", "n": 1.5, "status": "REJECTED", "at": NOON + timedelta(days=1)},
            "c": {"user_id": "u2", "n": 2, "status": None, "at": NOON + timedelta(days=2)},
            "d": {"user_id": "u1", "n": "text"},
        },
    )

    assert await keys(store, {}) == ["a", "b", "c", "d"]
    assert await keys(store, {"user_id": "u1", "status": "FILLED"}) == ["a"]
    assert await keys(store, {"_id": {"$in": ["b", "c", "z"]}}) == ["b", "c"]
    assert await keys(store, {"n": {"$gte": 1.5, "$lt": 3}}) == ["b", "c"]
    assert await keys(store, {"n": {"$gt": 2}}) == ["a"]
    assert await keys(store, {"at": {"$gte": NOON + timedelta(days=1)}}) == ["b", "c"]
    assert await keys(store, {"at": {"$lte": NOON}}) == ["a"]
    assert await keys(store, {"status": {"$ne": "FILLED"}}) == ["b", "c", "d"]
    assert await keys(store, {"status": None}) == ["c", "d"]
    assert await keys(store, {"tags": "y"}) == ["a"]
    assert await keys(store, {"leg.side": "BUY"}) == ["a"]
    assert await keys(store, {}, sort="n") == ["b", "c", "a", "d"]
    assert await keys(store, {}, sort="n", descending=True, limit=2) == ["d", "a"]
    assert await keys(store, {}, sort="user_id", descending=True) == ["c", "a", "b", "d"]
    assert await keys(store, {}, sort="status") == ["c", "d", "a", "b"]


@pytest.mark.parametrize("operator", ["$where", "$regex", "$expr"])
async def test_only_plain_comparisons_are_understood(store: Store, operator: str) -> None:
    with pytest.raises(InvalidInput, match=r"operator"):
        await store.find("orders", {"user_id": {operator: "1"}})


async def test_an_increment_counts_every_key_for_itself(store: Store) -> None:
    assert await store.increment_many("sessions", ["u1", "u2"], "epoch") == {"u1": 1, "u2": 1}
    assert await store.increment_many("sessions", ["u2", "u3"], "epoch") == {"u2": 2, "u3": 1}
    assert await store.increment_many("sessions", [], "epoch") == {}
    assert await store.get("sessions", "u2") == {"_id": "u2", "epoch": 2}


async def test_no_two_who_increment_at_once_get_the_same_value(store: Store) -> None:
    keys = [f"u{number}" for number in range(20)]
    answers = await asyncio.gather(*(store.increment_many("sessions", keys, "epoch") for _ in range(10)))
    for key in keys:
        assert len({answer[key] for answer in answers}) == 10


async def test_what_is_inserted_as_new_leaves_what_is_there_as_it_is_and_says_so(store: Store) -> None:
    assert await store.insert_new("orders", {"o1": {"status": "SUBMITTED"}, "o2": {"price": Decimal("1.50")}}) == []
    assert sorted(await store.insert_new("orders", {"o1": {"status": "FILLED"}, "o2": {}, "o3": {"at": NOON}})) == ["o1", "o2"]
    assert await store.insert_new("orders", {}) == []

    assert await store.get("orders", "o1") == {"_id": "o1", "status": "SUBMITTED"}
    assert await store.get("orders", "o3") == {"_id": "o3", "at": NOON.replace(microsecond=123_000)}


async def test_a_deleted_document_is_gone_and_its_key_free(store: Store) -> None:
    await store.insert_once("subscriptions", "s1", {})
    await store.delete("subscriptions", "s1")
    await store.delete("subscriptions", "s1")
    assert await store.get("subscriptions", "s1") is None
    assert await store.insert_once("subscriptions", "s1", {})


async def test_the_first_version_of_a_candle_is_final(store: Store) -> None:
    await store.write_candles([candle(0), candle(1)])
    await store.write_candles([candle(0, close=105.0), candle(2)])

    start = candle(0).opened_at
    found = await store.read_candles("NSE:NIFTY", Timeframe.M1, start, start + timedelta(hours=1))
    assert found == [candle(0), candle(1), candle(2)]
    assert {one.opened_at.tzinfo for one in found} == {UTC}


async def test_candles_are_read_from_start_up_to_but_without_end(store: Store) -> None:
    others = [candle(3, instrument="NSE:NIFTY2"), candle(3, timeframe=Timeframe.M5)]
    await store.write_candles([*(candle(minute) for minute in (4, 2, 0, 1, 3)), *others])

    found = await store.read_candles("NSE:NIFTY", Timeframe.M1, candle(1).opened_at.astimezone(UTC), candle(4).opened_at)
    assert found == [candle(1), candle(2), candle(3)]


async def test_calls_survive_a_server_killed_in_their_middle(mongo_store: MongoStore, kill: Callable[[str], None]) -> None:
    for number in range(40):
        if number in (10, 25):
            kill("mongod")
        assert await mongo_store.insert_once("commands", f"c{number}", {"n": number})
        await mongo_store.upsert("orders", {f"o{number}": {"n": number}})

    assert [found["n"] for found in await mongo_store.find("commands", {}, sort="n")] == list(range(40))
    assert [found["n"] for found in await mongo_store.find("orders", {}, sort="n")] == list(range(40))


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.get("typo", "x"),
        lambda store: store.find("typo", {}),
        lambda store: store.insert_once("typo", "x", {}),
        lambda store: store.insert_new("typo", {}),
        lambda store: store.upsert("typo", {}),
        lambda store: store.increment_many("typo", [], "n"),
        lambda store: store.delete("typo", "x"),
    ],
    ids=["get", "find", "insert_once", "insert_new", "upsert", "increment_many", "delete"],
)
async def test_a_collection_nobody_declared_is_our_own_mistake(store: Store, use: Callable[[Store], Awaitable[object]]) -> None:
    with pytest.raises(InternalError, match=r"'typo' is not declared in adapters/collections\.py"):
        await use(store)
