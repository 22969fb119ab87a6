"""Brokers put together from settings, vault and the instrument list in the store; the local Upstox shows what that comes to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta

import msgspec
import pytest

from actors.brokerage import Brokerage
from actors.instruments import map_symbol, refresh, stored_day
from adapters.memory import MemoryStore
from adapters.vault import EncryptedVault, FixedKeys
from configs.accounts import AccountEntry, UpstoxSettings
from runtime.errors import BrokerUnavailable, InvalidMarketData
from runtime.ports import Broker
from runtime.session import SessionConfig
from tests.builders import DAY
from tests.contracts.rig import order
from tests.contracts.upstox_rig import UpstoxRig

OTHER = "NSE:BANKNIFTY26NOV52100CE"


class Stage:
    """One store and one vault, in which every `process` is a process of its own."""

    def __init__(self, rig: UpstoxRig) -> None:
        self.rig, self.store = rig, MemoryStore()
        self.vault = EncryptedVault(self.store, FixedKeys(bytes(32)))
        self.settings = UpstoxSettings(**msgspec.to_builtins(rig.endpoints()))
        self.opened: list[Broker] = []

    def process(self, *, days: int = 0, fetches: bool = True, **settings: str) -> Brokerage:
        """It begins so many days after the venue's day."""
        return Brokerage(
            self.vault,
            self.store,
            upstox=self.settings.model_copy(update=settings),
            accounts={},
            now=lambda: self.rig.now() + timedelta(days=days),
            fetches=fetches,
        )

    async def connect(self, process: Brokerage, user: str) -> Broker:
        await self.vault.put(user, "upstox", self.rig.secret(user))
        broker = await process.connect(user, SessionConfig(broker="upstox", credentials=f"{user}/upstox"))
        self.opened.append(broker)
        return broker


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with UpstoxRig() as rig:
        made = Stage(rig)
        yield made
        for broker in made.opened:
            await broker.close()


def fetched(stage: Stage) -> int:
    """Beside the rig's own."""
    return stage.rig.calls("instruments") - 1


async def test_the_list_of_the_day_is_fetched_once_kept_and_read_by_every_later_process(stage: Stage) -> None:
    first = await stage.process().table()
    second = await stage.process().table()
    assert (fetched(stage), await stored_day(stage.store, "upstox")) == (1, DAY)
    assert (first.loaded_on, second.loaded_on) == (DAY, DAY)
    assert {each.instrument.id: each for each in second.listings()} == {each.instrument.id: each for each in first.listings()}
    assert second.instrument(OTHER).freeze_quantity == 600


async def test_a_venue_that_plays_a_day_of_its_own_is_asked_by_every_process(stage: Stage) -> None:
    for _ in range(2):
        await stage.process(time="quotes").table()
    assert fetched(stage) == 2


async def test_a_look_that_changes_nothing_takes_the_kept_list_of_whatever_day(stage: Stage) -> None:
    assert len(await stage.process(fetches=False).table()) == 0
    await stage.process().table()
    kept = await stage.process(days=1, fetches=False).table()
    assert (len(kept) > 300, kept.loaded_on, fetched(stage)) == (True, DAY, 1)


async def test_a_list_that_is_torn_or_of_an_earlier_day_is_not_traded_on(stage: Stage) -> None:
    with pytest.raises(InvalidMarketData, match="it is old"):
        await stage.process(days=60).table()
    whole = await stage.process().table()
    await refresh(stage.store, "upstox", whole.listings(), DAY)
    body = json.dumps([])
    stage.rig.inject(stage.rig.faults.Answer(operation="instruments", status=200, body=body))
    with pytest.raises(InvalidMarketData, match="torn"):
        await stage.process(days=1).table()
    stage.rig.inject(stage.rig.faults.Answer(operation="instruments", status=503))
    with pytest.raises(BrokerUnavailable):
        await stage.process(days=1).table()
    assert await stored_day(stage.store, "upstox") == date(2026, 11, 20)


async def test_an_account_with_a_key_of_its_own_trades_under_it_and_the_others_under_the_usual_one(stage: Stage) -> None:
    process = stage.process()
    table, name = await process.table(), stage.rig.instrument.id
    await map_symbol(stage.store, "upstox", name, table.key(OTHER), "U1")
    for user in ("U1", "U2"):
        broker = await stage.connect(process, user)
        await broker.submit(order(stage.rig, user, user_id=user))
    sent = [json.loads(request.body)["instrument_token"] for request in stage.rig.requests("place")]
    assert sent == [table.key(OTHER), table.key(name)]


async def test_an_accounts_settings_reach_its_broker(stage: Stage) -> None:
    """The way out, the algo's name and the product are the account's own."""
    entry = AccountEntry.model_validate({"product": "D", "algo_name": "shoal-7", "local_address": "127.0.0.5"})
    stage.rig.register_algo("U1", "shoal-7")
    now = stage.rig.now
    process = Brokerage(stage.vault, stage.store, upstox=stage.settings, accounts={"U1": entry}, now=now)
    await (await stage.connect(process, "U1")).submit(order(stage.rig, "own"))
    await (await stage.connect(process, "U2")).submit(order(stage.rig, "usual", user_id="U2"))
    one, two = stage.rig.requests("place")
    assert (one.peer, one.headers.get("x-algo-name"), json.loads(one.body)["product"]) == ("127.0.0.5", "shoal-7", "D")
    assert (two.peer, two.headers.get("x-algo-name"), json.loads(two.body)["product"]) == ("127.0.0.1", None, "I")
