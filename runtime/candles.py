"""Ticks to one-minute candles, one-minute candles to longer ones. A candle is final once; a missing minute stays missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from msgspec import structs

from runtime.market import Candle, InstrumentId, Tick, Timeframe

MINUTE = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC) + timedelta(days=2)  # a margin, so that no zone's offset can overflow it

SessionOf: TypeAlias = Callable[[datetime], tuple[datetime, datetime]]
"""The open and close of the session a time belongs to, such as `ExchangeCalendar.bounds_at`."""


def round_the_clock(ts: datetime) -> tuple[datetime, datetime]:
    """Session of a market that never closes: the UTC day."""
    opened_at = ts.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return opened_at, opened_at + timedelta(days=1)


class CandleBuilder:
    """One instrument's ticks, in order of arrival, to closed one-minute candles.

    A minute closes with the first tick of a later one or when the venue's clock passes its end, whichever comes first.
    Inside the open minute ticks may arrive in any order: open and close are the first and last by venue time. A tick of a
    minute that is closed already is dropped and counted in `late`, a repetition of the tick before in `duplicates`.
    """

    __slots__ = (
        "_close",
        "_close_ts",
        "_end",
        "_has_volume",
        "_high",
        "_instrument",
        "_last",
        "_low",
        "_open",
        "_open_ts",
        "_start",
        "_volume",
        "duplicates",
        "late",
    )

    def __init__(self, instrument: InstrumentId, *, has_volume: bool) -> None:
        self._instrument = instrument
        self._has_volume = has_volume
        self._last: Tick | None = None
        # The open minute is [_start, _end); with no minute open both are the end of the last closed one.
        self._start = self._end = self._open_ts = self._close_ts = _NEVER
        self._open = self._high = self._low = self._close = self._volume = 0.0
        self.late = 0
        self.duplicates = 0

    @property
    def open_minute(self) -> datetime | None:
        """When the minute that is not closed yet began."""
        return None if self._start == self._end else self._start

    def add(self, tick: Tick) -> Candle | None:
        """Take a tick of this instrument; returns the minute that it closes, if any."""
        ts = tick.ts
        if ts >= self._end:
            return self._roll(tick, ts)
        if tick == self._last:
            self.duplicates += 1
            return None
        if ts < self._start or self._start == self._end:
            self.late += 1
            return None
        self._last = tick
        price = tick.price
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        if ts >= self._close_ts:
            self._close = price
            self._close_ts = ts
        elif ts < self._open_ts:
            self._open = price
            self._open_ts = ts
        if tick.volume is not None:
            self._volume += tick.volume
        return None

    def advance(self, ts: datetime) -> Candle | None:
        """The venue's clock reached `ts`: returns the open minute if it has ended."""
        if ts < self._end:
            return None
        closed = self._closed()
        self._start = self._end = max(self._end, ts.replace(second=0, microsecond=0))
        return closed

    def _roll(self, tick: Tick, ts: datetime) -> Candle | None:
        closed = self._closed()
        self._start = ts.replace(second=0, microsecond=0)
        self._end = self._start + MINUTE
        self._open = self._high = self._low = self._close = tick.price
        self._open_ts = self._close_ts = ts
        self._volume = tick.volume or 0.0
        self._last = tick
        return closed

    def _closed(self) -> Candle | None:
        if self._start == self._end:
            return None
        return Candle(
            instrument=self._instrument,
            timeframe=Timeframe.M1,
            opened_at=self._start,
            open=self._open,
            high=self._high,
            low=self._low,
            close=self._close,
            volume=self._volume if self._has_volume else None,
        )


class Aggregator:
    """One instrument's one-minute candles to candles of `timeframe`.

    Frames are counted from the session's open (60m on NSE: 09:15, 10:15, …), and the last one ends with the session; 1d is
    the whole session. A frame closes with its last minute, or with whatever comes after its end when that minute is
    missing; a frame without any minute does not exist. Minutes outside the session, and minutes not newer than the last
    one, are ignored.
    """

    __slots__ = ("_end", "_frame", "_next", "_session_of", "_timeframe")

    def __init__(self, timeframe: Timeframe, session_of: SessionOf = round_the_clock) -> None:
        self._timeframe = timeframe
        self._session_of = session_of
        self._next = self._end = _NEVER
        self._frame: Candle | None = None

    def add(self, candle: Candle) -> list[Candle]:
        """Take the next one-minute candle; returns the frames it closes: one cut short before it, its own if this is the last minute."""
        opened_at = candle.opened_at
        if opened_at < self._next:
            return []
        closed = self.advance(opened_at)
        self._next = candle.closed_at
        if self._frame is not None:
            self._frame = _merge(self._frame, candle)
        else:
            session_open, session_close = self._session_of(opened_at)
            if not session_open <= opened_at < session_close:
                return closed
            self._frame = self._open_frame(candle, session_open, session_close)
        return closed + self.advance(self._next)

    def advance(self, ts: datetime) -> list[Candle]:
        """The venue's clock reached `ts`: returns the open frame if it has ended."""
        if ts < self._end or self._frame is None:
            return []
        closed, self._frame = self._frame, None
        self._next = max(self._next, self._end)
        return [closed]

    def _open_frame(self, candle: Candle, session_open: datetime, session_close: datetime) -> Candle:
        length = session_close - session_open if self._timeframe is Timeframe.D1 else self._timeframe.duration
        start = session_open + (candle.opened_at - session_open) // length * length
        self._end = min(start + length, session_close)
        return structs.replace(candle, timeframe=self._timeframe, opened_at=start)


def _merge(frame: Candle, candle: Candle) -> Candle:
    return structs.replace(
        frame,
        high=max(frame.high, candle.high),
        low=min(frame.low, candle.low),
        close=candle.close,
        volume=frame.volume if candle.volume is None else candle.volume + (frame.volume or 0.0),
    )
