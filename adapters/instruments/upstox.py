"""Upstox's master file, loaded once a day, as a `runtime.ports.InstrumentMaster`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime

from adapters.upstox import UpstoxClient
from adapters.upstox.instruments import InstrumentTable, read_master
from runtime.errors import InvalidMarketData
from runtime.market import IST, Instrument, InstrumentId

ROWS_MIN = 100
"""A file with fewer usable rows is torn: the real one has about 60,000."""


class UpstoxInstrumentMaster:
    """What Upstox lists today. `now` is the venue's clock, by which the near month is chosen."""

    def __init__(self, table: InstrumentTable, now: Callable[[], datetime]) -> None:
        self.table = table
        self._now = now

    async def instrument(self, instrument: InstrumentId) -> Instrument:
        return self.table.instrument(instrument)

    async def near_month_future(self, underlying: InstrumentId) -> Instrument | None:
        return self.table.near_month_future(underlying, self._now().astimezone(IST).date())


async def load_instruments(client: UpstoxClient, today: date) -> InstrumentTable:
    """Fetch and read the master file of `today`, which the vendor writes at about 06:00 IST.

    Raises:
        BrokerUnavailable: it cannot be fetched.
        InvalidMarketData: what was fetched is no instrument list, or a torn one.
    """
    content = await client.download(client.endpoints.instruments)
    table = await asyncio.to_thread(lambda: InstrumentTable(read_master(content), loaded_on=today))  # seconds of work
    if len(table) < ROWS_MIN:
        raise InvalidMarketData("instrument master", f"{len(table)} instruments", "is torn: fetch it again")
    return table
