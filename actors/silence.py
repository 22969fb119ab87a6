"""Which of the instruments that strategies run on say nothing although their sessions go on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from loguru import logger

from actors.instrument_book import InstrumentBook
from runtime.market import InstrumentId

SILENCE = timedelta(seconds=15)
"""Without a tick for this long in its session an underlying counts as silent: nobody may enter on what was last said."""
SILENCE_OF_OTHERS = timedelta(minutes=2)
"""Of what else strategies run on, such as a future that is not traded every second: two intervals of the shortest frame."""


class Silence:
    """`is_up`: whether there is market data at all. It is down while the venue says so, or while every underlying whose session
    goes on is silent; then `silent` stays as it was.
    """

    def __init__(self, underlyings: Collection[InstrumentId]) -> None:
        self.is_up, self.venue_up = True, True
        self.silent: tuple[InstrumentId, ...] = ()
        self._underlyings = frozenset(underlyings)

    def judge(self, now: datetime, books: Mapping[InstrumentId, InstrumentBook]) -> None:
        silent = tuple(
            sorted(name for name, book in books.items() if book.is_silent(now, SILENCE if name in self._underlyings else SILENCE_OF_OTHERS))
        )
        is_up = self.venue_up
        if is_up and silent:
            trading = [name for name in self._underlyings if name in books and books[name].is_trading(now)]
            is_up = not trading or not set(trading) <= set(silent)
        if is_up != self.is_up:
            logger.warning("feed {} at {}", "up" if is_up else "down", now)
        if is_up and silent != self.silent:
            logger.warning("silent at {}: {}", now, ", ".join(silent) or "nobody")
            self.silent = silent
        self.is_up = is_up
