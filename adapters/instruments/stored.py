"""The list of instruments as it is kept in the store, under canonical symbols, whichever broker it came from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import msgspec

from runtime.errors import InvalidInput
from runtime.market import IST, Instrument, InstrumentId, InstrumentKind
from runtime.ports import Store


class StoredInstrumentMaster:
    """`runtime.ports.InstrumentMaster` over the collection `instruments`. `now` is the venue's clock."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def instrument(self, instrument: InstrumentId) -> Instrument:
        document = await self._store.get("instruments", instrument)
        if document is None or not document["listed"]:
            raise InvalidInput(
                "instrument", instrument, "is not listed: `shoal instruments find` looks for it, `refresh` loads today's list"
            )
        return to_instrument(document)

    async def near_month_future(self, underlying: InstrumentId) -> Instrument | None:
        """The one that expires next after today: on its last day liquidity is in the following one."""
        today: date = self._now().astimezone(IST).date()
        where = {"underlying": underlying, "kind": InstrumentKind.FUTURE, "expiry": {"$gt": today.isoformat()}, "listed": True}
        found = await self._store.find("instruments", where, sort="expiry", limit=1)
        return to_instrument(found[0]) if found else None


def to_document(instrument: Instrument) -> dict[str, Any]:
    """All fields, defaults too, so that they can be searched."""
    fields = {name: getattr(instrument, name) for name in instrument.__struct_fields__ if name != "id"}
    return msgspec.to_builtins(fields)


def to_instrument(document: dict[str, Any]) -> Instrument:
    fields = {name: document[name] for name in Instrument.__struct_fields__ if name != "id"}
    return msgspec.convert(fields | {"id": document["_id"]}, Instrument, strict=False)
