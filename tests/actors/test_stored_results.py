"""Results in a store: the same run twice is the same document, byte by byte, and long content comes back whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors import stored_results
from actors.backtest import Backtest, backtest
from runtime.errors import InvalidInput
from runtime.ports import Store
from tests.actors.test_backtest import SETTINGS, waves

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    return backtest("ema_cross", waves(tmp_path_factory.mktemp("waves")), zone="Asia/Kolkata", **SETTINGS)


async def everything(store: Store) -> list[Any]:
    documents = [*await store.find("backtests", {}), *await store.find("backtest_parts", {})]
    return [{name: value for name, value in document.items() if not name.startswith("_w")} for document in documents]


async def test_the_same_run_again_changes_no_byte(store: Store, run: Backtest, tmp_path: Path) -> None:
    first = await stored_results.keep_backtest(store, run, NOON)
    before = await everything(store)
    again = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata", **SETTINGS)
    second = await stored_results.keep_backtest(store, again, LATER)

    assert first == second == run.result.fingerprint[:16]
    assert await everything(store) == before


async def test_what_was_kept_comes_back(store: Store, run: Backtest) -> None:
    key = await stored_results.keep_backtest(store, run, NOON)
    found = await stored_results.find(store, key[:6])
    content = await stored_results.content(store, found)

    assert (found.kind, found.ts, found.strategy, found.metrics, found.summary) == (
        "backtest",
        NOON,
        "ema_cross",
        run.metrics,
        run.summary(),
    )
    assert content["trades"]["net"] == run.trades["net"].tolist()
    assert content["trades"]["rules"] == ["ema_cross"]
    assert content["trades"]["entry_time"] == run.result.trades.entry_time.astype(np.int64).tolist()
    assert content["equity"]["day"] == ["2024-01-01", "2024-01-02", "2024-01-03"]


async def test_content_longer_than_a_document_is_kept_in_parts(store: Store, run: Backtest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_results, "_PART_BYTES", 100)
    key = await stored_results.keep_backtest(store, run, NOON)
    found = await stored_results.find(store, key)

    assert len(await store.find("backtest_parts", {"backtest": key})) > 2
    assert (await stored_results.content(store, found))["trades"]["net"] == run.trades["net"].tolist()
    await stored_results.delete(store, found)
    assert await everything(store) == []


async def test_the_newest_are_listed_first_and_an_unknown_one_is_refused_with_those_there_are(
    store: Store, run: Backtest, tmp_path: Path
) -> None:
    other = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata", fees="none", parameters=SETTINGS["parameters"])
    older, newer = await stored_results.keep_backtest(store, run, NOON), await stored_results.keep_backtest(store, other, LATER)

    assert [result.id for result in await stored_results.listed(store)] == [newer, older]
    assert [result.id for result in await stored_results.listed(store, 1)] == [newer]
    with pytest.raises(InvalidInput, match=f"fits 0 of the stored ones; the newest are {newer}, {older}"):
        await stored_results.find(store, "zzz")
    with pytest.raises(InvalidInput, match="fits 2 of the stored ones; they are"):
        await stored_results.find(store, "")
