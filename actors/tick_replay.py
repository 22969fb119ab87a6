"""A backtest on ticks: recorded feed batches and option chains through the same candles, strategies and engine as live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from actors.instrument_book import InstrumentBook
from runtime.backtest.tick_trader import TickTrader
from runtime.calendar import ExchangeCalendar
from runtime.market import Candle, FeedClock, FeedEvent, Instrument, InstrumentId, OptionChain, Quote, Tick
from runtime.signal_engine import SignalEngine, StrategySpec
from runtime.signals import Signal
from runtime.strategy import ParameterValue, Strategy

Tape: TypeAlias = Iterable[Sequence[FeedEvent] | OptionChain]
"""What came from a venue, in order: batches of one step each, its clock last, and option chains."""


class TickReplay:
    """Bars know four prices of a minute; here every tick counts, so orders, fills and money are those of the live runtime.

    `instruments`: what strategies run on, each index with the future that lends it volume. `history`: earlier one-minute
    candles that warm the strategy up.
    """

    def __init__(
        self,
        trader: TickTrader,
        spec: StrategySpec,
        instruments: Mapping[InstrumentId, tuple[Instrument, Instrument | None]],
        create: Callable[[str, Mapping[str, ParameterValue]], Strategy],
        calendar: ExchangeCalendar,
    ) -> None:
        self._trader, self._spec = trader, spec
        self._signals = SignalEngine(create)
        self._books: dict[InstrumentId, InstrumentBook] = {}
        self._quotes: dict[InstrumentId, Quote] = {}
        self._now: datetime | None = None
        for instrument, future in instruments.values():
            book = self._books[instrument.id] = InstrumentBook(instrument, calendar)
            self._signals.serve(instrument)
            if future is not None:
                book.lender = self._books[future.id] = InstrumentBook(future, calendar)
        self._signals.add(spec)

    def warm_up(self, minutes: Iterable[Candle], lent: Mapping[datetime, float | None]) -> None:
        """`lent`: the future's volume by the time its minute opened."""
        book = self._books[self._spec.instrument]
        past = [
            (frame, book.context(frame, volume, self._quotes)) for frame, volume in book.past_frames(self._spec.timeframe, minutes, lent)
        ]
        self._signals.warm_up(self._spec.key, past)

    def run(self, tape: Tape) -> None:
        for item in tape:
            if not isinstance(item, OptionChain):
                self._on_batch(item)
            elif (book := self._books.get(item.underlying)) is not None:
                book.take_chain(item)

    def _on_batch(self, batch: Sequence[FeedEvent]) -> None:
        closed: list[Candle] = []
        moved: dict[InstrumentId, Quote] = {}
        for event in batch:
            if isinstance(event, Tick):
                moved[event.instrument] = Quote(event.instrument, event.price, event.bid, event.ask)
                book = self._books.get(event.instrument)
                if book is not None and (candle := book.add(event)) is not None:
                    closed.append(candle)
            elif isinstance(event, FeedClock):
                self._now = event.ts
                closed.extend(candle for book in self._books.values() if (candle := book.builder.advance(event.ts)) is not None)
        self._quotes.update(moved)
        if self._now is None:
            return
        traded = [quote for name, quote in moved.items() if name not in self._books or not self._books[name].is_index]
        self._trader.on_quotes(traded, self._now)
        for candle in closed:
            self._books[candle.instrument].note_minute(candle)
        for candle in closed:
            book = self._books[candle.instrument]
            for frame, volume in book.frames(candle, book.volume(candle)):
                self._decide(book, frame, volume, self._now)
        for book in self._books.values():
            for frame, volume in book.frames_ended_by(self._now):
                self._decide(book, frame, volume, self._now)

    def _decide(self, book: InstrumentBook, frame: Candle, volume: float | None, now: datetime) -> None:
        for outcome in self._signals.on_candle(frame, book.context(frame, volume, self._quotes)):
            if isinstance(outcome, Signal):
                self._trader.on_signal(outcome, now)
