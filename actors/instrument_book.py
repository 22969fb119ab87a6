"""What the market-data actor keeps of one instrument that strategies run on: candles, frames, volume, option chain, silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import msgspec

from runtime.calendar import ExchangeCalendar
from runtime.candles import Aggregator, CandleBuilder
from runtime.chains import rows_around
from runtime.market import Candle, Instrument, InstrumentId, InstrumentKind, OptionChain, Quote, Tick, Timeframe
from runtime.strategy import MarketContext

CHAIN_AGE_MAX = timedelta(minutes=11)
"""Two polls and their jitter: nobody decides on an older chain."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class InstrumentBook:
    """One instrument's candles, for the strategies that run on it.

    An index is lent the volume of its near-month future, `lender`, minute by minute; anything else has a volume of its own.
    """

    def __init__(self, instrument: Instrument, calendar: ExchangeCalendar) -> None:
        self.instrument = instrument
        self.calendar = calendar
        self.is_index = instrument.kind is InstrumentKind.INDEX
        self.lender: InstrumentBook | None = None
        self.chain: OptionChain | None = None
        self.previous_chain: OptionChain | None = None
        self.day: date | None = None
        """The trading date of the newest minute."""
        self.builder = CandleBuilder(instrument.id, has_volume=not self.is_index)
        self._aggregators: dict[Timeframe, Aggregator] = {}
        self._last_minute: Candle | None = None
        self._whole_from = self._shown = _LONG_AGO
        self._last_tick_at: datetime | None = None

    def add(self, tick: Tick) -> Candle | None:
        """Take a tick of this instrument; returns the minute that it closes, if any."""
        self._last_tick_at = tick.ts
        return self.builder.add(tick)

    def note_minute(self, candle: Candle) -> None:
        """Before anybody decides on it, or on the minute of an index that it lends its volume to."""
        self._last_minute = candle
        self.note_shown(candle)
        self.day = self.calendar.trading_date(candle.opened_at)

    def tear(self, until: datetime) -> None:
        """The feed has missed something before `until`."""
        self._whole_from = max(self._whole_from, until)

    def is_torn(self, minute: datetime) -> bool:
        """Whether the feed saw a part only of the minute that opened then."""
        return minute < self._whole_from

    def was_shown(self, minute: datetime) -> bool:
        """Whether strategies have seen that minute, or a newer one."""
        return minute <= self._shown

    def note_shown(self, candle: Candle) -> None:
        self._shown = max(self._shown, candle.opened_at)

    def frames(self, minute: Candle, volume: float | None) -> list[tuple[Candle, float | None]]:
        """A closed minute and the frames of other lengths that it closes, each with the volume traded in it."""
        counted = msgspec.structs.replace(minute, volume=volume)
        longer = [frame for aggregator in self._aggregators.values() for frame in aggregator.add(counted)]
        return [(minute, volume), *self._uncounted(longer)]

    def volume(self, minute: Candle) -> float | None:
        """Its own, or for an index what its future traded in the same minute."""
        if not self.is_index:
            return minute.volume
        lent = None if self.lender is None else self.lender._last_minute
        return lent.volume if lent is not None and lent.opened_at == minute.opened_at else None

    def frames_ended_by(self, ts: datetime) -> list[tuple[Candle, float | None]]:
        """Frames whose last minute is missing end with the clock."""
        return self._uncounted([frame for aggregator in self._aggregators.values() for frame in aggregator.advance(ts)])

    def past_frames(
        self, timeframe: Timeframe, minutes: Iterable[Candle], lent: Mapping[datetime, float | None]
    ) -> list[tuple[Candle, float | None]]:
        """Earlier minutes as frames of `timeframe`; one heard of for the first time goes on with the frame that they have begun.

        `lent` is the volume of an index's future by the time its minute opened.
        """
        counted = [msgspec.structs.replace(minute, volume=lent.get(minute.opened_at)) if self.is_index else minute for minute in minutes]
        if timeframe is Timeframe.M1:
            return self._uncounted(counted)
        aggregator = Aggregator(timeframe, self.calendar.bounds_at)
        frames = [frame for minute in counted for frame in aggregator.add(minute)]
        self._aggregators.setdefault(timeframe, aggregator)
        return self._uncounted(frames)

    def take_chain(self, chain: OptionChain) -> bool:
        """False for one that is older than what is here."""
        if self.chain is not None and chain.taken_at < self.chain.taken_at:
            return False
        self.previous_chain, self.chain = self.chain, chain
        return True

    def strikes_near(self, spot: Quote | None, each_side: int) -> set[InstrumentId]:
        """Contracts around the money, by the newest price."""
        if self.chain is None:
            return set()
        chain = self.chain if spot is None else msgspec.structs.replace(self.chain, spot=spot.price)
        return {quote.instrument.id for row in rows_around(chain, each_side) for quote in (row.call, row.put) if quote is not None}

    def context(self, candle: Candle, volume: float | None, quotes: Mapping[InstrumentId, Quote]) -> MarketContext:
        session_open, session_close = self.calendar.bounds_at(candle.opened_at)
        closed_at = min(candle.closed_at, session_close) if session_close > candle.opened_at else candle.closed_at
        chain = self.chain
        if chain is not None:
            is_old = closed_at - chain.taken_at > CHAIN_AGE_MAX
            chain = None if is_old else msgspec.structs.replace(chain, spot=candle.close)
        return MarketContext(
            session_open=session_open,
            session_close=session_close,
            volume=volume,
            chain=chain,
            previous_chain=self.previous_chain,
            quotes=quotes,
        )

    def is_silent(self, now: datetime, after: timedelta) -> bool:
        """Whether its session goes on at `now` and it has said nothing for longer than `after`; not before its first tick."""
        return self._last_tick_at is not None and now - self._last_tick_at > after and self.is_trading(now)

    def is_trading(self, now: datetime) -> bool:
        session_open, session_close = self.calendar.bounds_at(now)
        return session_open < now < session_close

    def _uncounted(self, counted: Iterable[Candle]) -> list[tuple[Candle, float | None]]:
        """With the volume beside it, and none in an index's candle: an index is not traded."""
        return [(msgspec.structs.replace(frame, volume=None) if self.is_index else frame, frame.volume) for frame in counted]
