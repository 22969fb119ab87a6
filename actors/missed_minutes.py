"""Minutes that the feed saw nothing of, or a part only: history has them, and no strategy decides on a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from loguru import logger

from actors.instrument_book import InstrumentBook
from runtime.errors import BrokerError
from runtime.market import Candle, FeedGap, InstrumentId, Timeframe
from runtime.ports import Feed


class MissedMinutes:
    """`books` are the market-data actor's own, by instrument."""

    def __init__(self, feed: Feed, books: Mapping[InstrumentId, InstrumentBook]) -> None:
        self._feed, self._books = feed, books

    async def of(self, name: InstrumentId, gap: FeedGap) -> list[Candle]:
        """The closed minutes up to the gap's end that nobody has seen yet. The minute in which it ended counts as torn from here on."""
        book = self._books[name]
        book.tear(gap.end)
        start = min(gap.start, book.builder.open_minute or gap.start)  # one that ended with the gap's first moment is not closed yet
        missed = [minute for minute in await self.read(name, start, gap.end) if not book.was_shown(minute.opened_at)]
        logger.warning("feed gap {} to {} ({}): {} candles of {} filled from history", gap.start, gap.end, gap.reason, len(missed), name)
        for minute in missed:
            book.note_shown(minute)
        return missed

    async def whole(self, closed: Sequence[Candle]) -> list[Candle]:
        """`closed` with the torn ones as history has them; one that is seen already, or that history does not have, is left out."""
        return [minute for candle in closed if (minute := await self._whole(candle)) is not None]

    async def _whole(self, candle: Candle) -> Candle | None:
        book = self._books[candle.instrument]
        if not book.is_torn(candle.opened_at):
            return candle
        if book.was_shown(candle.opened_at):
            return None
        found = await self.read(candle.instrument, candle.opened_at, candle.closed_at)
        if not found:
            logger.warning("the minute {} of {} was seen in part only, and history does not have it", candle.opened_at, candle.instrument)
        return found[0] if found else None

    async def read(self, name: InstrumentId, start: datetime, end: datetime) -> list[Candle]:
        """Closed minutes that open in [`start`, `end`), ascending; none where history cannot be read."""
        try:
            return await self._feed.history(name, Timeframe.M1, start, end)
        except BrokerError as error:
            logger.warning("history of {} from {} to {} was not read: {}", name, start, end, error)
            return []
