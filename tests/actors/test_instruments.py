"""A list comes in, is kept, and is found again under canonical symbols."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from actors.instruments import find, map_symbol, own_keys, refresh, show, stored_day, stored_table
from adapters.instruments.stored import StoredInstrumentMaster
from runtime.errors import InvalidInput, InvalidMarketData
from runtime.instruments import Listing
from runtime.market import Instrument, InstrumentKind
from runtime.ports import Store
from tests.builders import FUTURE, at, option

TODAY = date(2026, 11, 20)
INDEX = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
DECEMBER = msgspec.structs.replace(FUTURE, id="NSE:BANKNIFTY26DECFUT", expiry=date(2026, 12, 29))
LIST = [
    Listing(instrument=INDEX, key="NSE_INDEX|Nifty Bank"),
    Listing(instrument=FUTURE, key="NSE_FO|1"),
    Listing(instrument=DECEMBER, key="NSE_FO|2"),
    Listing(instrument=option(), key="NSE_FO|3"),
]


async def test_what_was_loaded_is_found_as_it_was(store: Store) -> None:
    steps: list[tuple[int, int]] = []
    diff = await refresh(store, "upstox", LIST, TODAY, progress=lambda done, total: steps.append((done, total)))

    assert (len(diff.new), diff.listed) == (4, 4)
    assert steps[-1] == (8, 8)
    master = StoredInstrumentMaster(store, lambda: at("10:00"))
    assert [await master.instrument(listing.instrument.id) for listing in LIST] == [listing.instrument for listing in LIST]
    assert await master.near_month_future("NSE:BANKNIFTY") == FUTURE
    assert await StoredInstrumentMaster(store, lambda: at("10:00", date(2026, 11, 24))).near_month_future("NSE:BANKNIFTY") == DECEMBER
    assert await master.near_month_future("NSE:NIFTY") is None
    assert {each.id for each in await find(store, "NSE:BANKNIFTY")} == {FUTURE.id, DECEMBER.id, option().id}
    assert [each.id for each in await find(store, "52000ce")] == [option().id]


async def test_the_next_list_changes_lots_expires_contracts_and_keeps_a_users_own_symbol(store: Store) -> None:
    await refresh(store, "upstox", LIST, TODAY)
    await map_symbol(store, "upstox", DECEMBER.id, "NSE_FO|77", "u1")
    larger = msgspec.structs.replace(DECEMBER, lot_size=Decimal(35))

    diff = await refresh(store, "upstox", [LIST[0], Listing(instrument=larger, key="NSE_FO|20")], date(2026, 11, 25))

    assert diff.expired == (option().id, FUTURE.id)
    assert [(change.instrument, change.after) for change in diff.changed] == [(DECEMBER.id, Decimal(35))]
    master = StoredInstrumentMaster(store, lambda: at("10:00"))
    with pytest.raises(InvalidInput, match=r"26NOVFUT.*is not listed"):
        await master.instrument(FUTURE.id)
    table = await stored_table(store, "upstox")
    own = table.with_keys(await own_keys(store, "upstox", "u1"))
    assert [table.key(DECEMBER.id), own.key(DECEMBER.id)] == ["NSE_FO|20", "NSE_FO|77"]
    assert table.instrument(DECEMBER.id) == larger
    assert (table.id_of("NSE_FO|1"), table.loaded_on, await own_keys(store, "upstox", "u2")) == (None, date(2026, 11, 25), {})
    found = await show(store, DECEMBER.id)
    assert found["lot_size"] == "35"
    assert {(symbol["user_id"], symbol["key"]) for symbol in found["symbols"]} == {(None, "NSE_FO|20"), ("u1", "NSE_FO|77")}


async def test_a_list_that_is_torn_or_old_changes_nothing(store: Store) -> None:
    await refresh(store, "upstox", LIST, TODAY)
    before = await store.find("instruments", {})

    with pytest.raises(InvalidMarketData, match="torn"):
        await refresh(store, "upstox", LIST[:1], TODAY)
    with pytest.raises(InvalidMarketData, match="it is old"):
        await refresh(store, "upstox", LIST, date(2026, 11, 25))

    assert await store.find("instruments", {}) == before
    assert await stored_day(store, "upstox") == TODAY


async def test_the_same_list_again_writes_nothing(store: Store) -> None:
    await refresh(store, "upstox", LIST, TODAY)
    steps: list[tuple[int, int]] = []
    assert (await refresh(store, "upstox", LIST, TODAY, progress=lambda done, total: steps.append((done, total)))).is_empty
    assert steps == []


async def test_what_was_never_listed_can_neither_be_shown_nor_mapped(store: Store) -> None:
    for attempt in (show(store, "NSE:X"), map_symbol(store, "upstox", "NSE:X", "k")):
        with pytest.raises(InvalidInput, match=r"NSE:X.*not in the list"):
            await attempt
