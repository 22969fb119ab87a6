from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.collections import COLLECTIONS
from adapters.embedded import EmbeddedServers
from adapters.mongo import MongoStore
from runtime.errors import ServerUnavailable


async def test_a_server_that_stays_away_is_reported_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.mongo.client._CALL_SECONDS_MAX", 0.1)
    store = MongoStore("mongodb://127.0.0.1:1/?directConnection=true", patience_seconds=0.1)
    with pytest.raises(ServerUnavailable, match=r"did not answer for 0\.1 s"):
        await store.get("orders", "o1")
    await store.close()


async def test_a_wrong_password_is_reported_at_once_and_not_shown(servers: EmbeddedServers) -> None:
    address = servers.urls.mongodb.rpartition("@")[2]
    store = MongoStore(f"mongodb://shoal:wrong-canary@{address}")
    with pytest.raises(ServerUnavailable, match="refused") as refused:
        await store.get("orders", "o1")
    assert "canary" not in str(refused.value)
    await store.close()


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ServerUnavailable, match="MONGODB_URL"):
        MongoStore("http://example")


async def test_indexes_can_be_prepared_again_and_expiring_collections_expire(mongo_store: MongoStore) -> None:
    await mongo_store.prepare()

    indexes = await mongo_store._database.collection("ticks").index_information()
    assert indexes["ts_1"]["expireAfterSeconds"] == 7 * 86_400


def test_the_answers_to_commands_are_kept_longer_than_repeats_are_recognised() -> None:
    kept = [index.keep for index in COLLECTIONS["commands"] if index.keep]
    assert kept == [timedelta(days=7)]
