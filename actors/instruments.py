"""The daily list of instruments: read, checked against the one before, kept under canonical symbols, and looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.instruments.stored import to_document, to_instrument
from runtime.errors import InvalidInput, InvalidMarketData
from runtime.instruments import Listing, MasterDiff, check_master, compare_masters
from runtime.market import Instrument, InstrumentId
from runtime.ports import Store

if TYPE_CHECKING:
    from adapters.upstox import Endpoints, UpstoxClient
    from adapters.upstox.instruments import InstrumentTable

_BATCH = 5_000

Progress = Callable[[int, int], None]
"""Documents written so far, of how many."""


async def download_listings(endpoints: Endpoints) -> list[Listing]:
    """Upstox's list of today, which needs no token.

    Raises:
        BrokerUnavailable: it cannot be fetched.
        InvalidMarketData: what was fetched is no list.
    """
    from adapters.upstox import AccessToken, UpstoxClient
    from adapters.upstox.instruments import InstrumentTable, read_master

    client = UpstoxClient(AccessToken(""), endpoints)
    try:
        return InstrumentTable(read_master(await client.download(client.endpoints.instruments))).listings()
    finally:
        await client.close()


def read_listings(path: Path) -> list[Listing]:
    """A broker's file, told by its name: `.json` or `.csv` of Upstox, gzipped or not.

    Raises:
        InvalidMarketData: it cannot be read, is torn, or is of another kind.
    """
    from adapters.instruments.upstox_csv import read_csv
    from adapters.upstox.instruments import InstrumentTable, read_master

    kinds = {".json": read_master, ".csv": read_csv}
    kind = path.name.removesuffix(".gz")[-5:].lower()
    reader = next((reader for suffix, reader in kinds.items() if kind.endswith(suffix)), None)
    if reader is None:
        raise InvalidMarketData("instrument master", path.name, "must be named .json, .json.gz, .csv or .csv.gz")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidMarketData("instrument master", str(path), f"cannot be read: {error.strerror}") from error
    return InstrumentTable(reader(content)).listings()


async def refresh(
    store: Store, broker: str, listings: Sequence[Listing], today: date, *, checked: bool = True, progress: Progress | None = None
) -> MasterDiff:
    """Bring `instruments` and the broker's symbols up to `listings`; nothing is written when they are refused.

    `checked=False` is for a venue that plays days of its own, whose list has nothing to do with the one before.

    Raises:
        InvalidMarketData: the list is torn or old (`runtime.instruments.check_master`).
    """
    before = {str(document["_id"]): to_instrument(document) for document in await store.find("instruments", {"listed": True})}
    after = {listing.instrument.id: listing.instrument for listing in listings}
    if checked:
        check_master(before, after, today)
    diff = compare_masters(before, after, today)
    touched = {*diff.new, *(change.instrument for change in diff.changed)}
    documents: dict[str, dict[str, Any]] = {
        name: to_document(after[name]) | {"listed": True, "updated_on": today.isoformat()} for name in sorted(touched)
    }
    documents |= {name: {"listed": False, "gone_on": today.isoformat()} for name in (*diff.expired, *diff.delisted)}
    known = {str(row["instrument"]): row["key"] for row in await store.find("instrument_symbols", {"broker": broker, "user_id": None})}
    symbols = {
        f"{broker}:{listing.instrument.id}": _symbol(broker, listing.instrument.id, listing.key, None)
        for listing in listings
        if known.get(listing.instrument.id) != listing.key
    }
    symbols |= {f"{broker}:{name}": {"key": None} for name in known.keys() - after.keys() if known[name] is not None}
    total, done = len(documents) + len(symbols), 0
    for collection, changes in (("instruments", documents), ("instrument_symbols", symbols)):
        items = list(changes.items())
        for start in range(0, len(items), _BATCH):
            part = dict(items[start : start + _BATCH])
            await store.upsert(collection, part)
            done += len(part)
            if progress is not None:
                progress(done, total)
    await store.upsert("platform", {_day_key(broker): {"day": today.isoformat(), "listed": diff.listed}})
    return diff


async def stored_day(store: Store, broker: str) -> date | None:
    """The day of which the kept list of this broker is; None before the first one."""
    document = await store.get("platform", _day_key(broker))
    return None if document is None else date.fromisoformat(str(document["day"]))


async def stored_table(store: Store, broker: str) -> InstrumentTable:
    """The kept list, of whatever day (`loaded_on`), under the broker's keys; empty before the first one."""
    from adapters.upstox.instruments import InstrumentTable

    symbols = await store.find("instrument_symbols", {"broker": broker, "user_id": None})
    keys = {str(row["instrument"]): str(row["key"]) for row in symbols if row["key"] is not None}
    documents = await store.find("instruments", {"listed": True})
    found = [Listing(instrument=to_instrument(each), key=keys[each["_id"]]) for each in documents if each["_id"] in keys]
    return InstrumentTable.of_listings(found, loaded_on=await stored_day(store, broker))


async def todays_table(store: Store, broker: str, client: UpstoxClient, today: date, *, own_day: bool) -> InstrumentTable:
    """The list of `today`: the kept one, else the broker's, which is kept from then on.

    `own_day`: the venue plays days of its own; its list is always fetched, and compared with nothing.

    Raises:
        BrokerUnavailable: it is not kept and cannot be fetched.
        InvalidMarketData: what was fetched is no list, torn or old.
    """
    from adapters.instruments.upstox import load_instruments

    if not own_day and await stored_day(store, broker) == today:
        return await stored_table(store, broker)
    table = await load_instruments(client, today)
    await refresh(store, broker, table.listings(), today, checked=not own_day)
    return table


async def own_keys(store: Store, broker: str, user_id: str) -> dict[InstrumentId, str]:
    """What this broker calls instruments in this user's account, where that differs from what it calls them elsewhere."""
    rows = await store.find("instrument_symbols", {"broker": broker, "user_id": user_id})
    return {str(row["instrument"]): str(row["key"]) for row in rows if row["key"] is not None}


async def map_symbol(store: Store, broker: str, instrument: InstrumentId, key: str, user_id: str | None = None) -> None:
    """What a broker calls an instrument, said by hand; with a user, for that user's account only, and no refresh changes it."""
    if await store.get("instruments", instrument) is None:
        raise InvalidInput("INSTRUMENT", instrument, "is not in the list: `shoal instruments find` looks for it")
    name = f"{broker}:{instrument}" + (f":{user_id}" if user_id else "")
    await store.upsert("instrument_symbols", {name: _symbol(broker, instrument, key, user_id)})


async def find(store: Store, text: str, *, limit: int = 50) -> list[Instrument]:
    """Listed instruments: the contracts of an underlying, else those whose symbol holds `text`, in order of symbol."""
    documents = await store.find("instruments", {"underlying": text, "listed": True}, sort="expiry", limit=limit)
    if not documents:
        everything = await store.find("instruments", {"listed": True})
        documents = [document for document in everything if text.upper() in str(document["_id"]).upper()][:limit]
    return [to_instrument(document) for document in documents]


async def show(store: Store, instrument: InstrumentId) -> dict[str, Any]:
    """All that is known of one instrument, what brokers and users call it included.

    Raises:
        InvalidInput: it was never listed.
    """
    document = await store.get("instruments", instrument)
    if document is None:
        raise InvalidInput("INSTRUMENT", instrument, "is not in the list: `shoal instruments find` looks for it")
    rows: Sequence[Mapping[str, Any]] = await store.find("instrument_symbols", {"instrument": instrument})
    symbols = [{"broker": row["broker"], "user_id": row["user_id"], "key": row["key"]} for row in rows if row["key"] is not None]
    return {"id": document.pop("_id")} | document | {"symbols": symbols}


def _symbol(broker: str, instrument: InstrumentId, key: str, user_id: str | None) -> dict[str, Any]:
    return {"broker": broker, "instrument": instrument, "key": key, "user_id": user_id}


def _day_key(broker: str) -> str:
    return f"instruments/{broker}"
