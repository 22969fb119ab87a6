"""Upstox's master file, loaded once a day."""

from __future__ import annotations

import asyncio
from datetime import date

from adapters.upstox import UpstoxClient
from adapters.upstox.instruments import InstrumentTable, read_master
from runtime.errors import InvalidMarketData

ROWS_MIN = 100
"""A file with fewer usable rows is torn: the real one has about 60,000."""


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
