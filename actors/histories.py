"""The history of the store, or of a broker, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from actors.candle_source import STORE, History
from runtime.errors import InvalidInput
from runtime.market import Candle, InstrumentId, Timeframe

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.ports import Feed


def histories(state: Path | None, feeds: Mapping[str, Callable[[], Feed]]) -> Callable[[str], History]:
    """`store` is the running system's database (see `configs.running`); `feeds` opens a broker's feed by its name."""

    def named(name: str) -> History:
        if name == STORE:
            return _of_store(state)
        if name not in feeds:
            raise InvalidInput("--candles", f"{name}:…", f"is neither a file nor a known source; known are {', '.join([STORE, *feeds])}")
        return _of_feed(feeds[name])

    return named


def _of_store(state: Path | None) -> History:
    async def read(instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        from actors.commands.shared import connected

        async with connected(state) as connection:
            return await connection.store.read_candles(instrument, timeframe, start, end)

    return read


def _of_feed(open_feed: Callable[[], Feed]) -> History:
    async def read(instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        feed = open_feed()
        try:
            return await feed.history(instrument, timeframe, start, end)
        finally:
            await feed.close()

    return read
