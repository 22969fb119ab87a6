"""Candles as columns: what a backtest reads instead of half a million objects."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidMarketData
from runtime.market import Candle, InstrumentId, Timeframe

SECONDS_A_DAY = 86_400
OUT_OF_SESSION = -1


class CandleArray(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Closed candles of one instrument, strictly ascending.

    `opened_at`: epoch seconds, UTC. Prices: float64 in the instrument's currency. `volume`: None where the venue reports none.
    `zone`: the exchange's. Build it with `of`, which checks.
    """

    instrument: InstrumentId
    timeframe: Timeframe
    zone: tzinfo
    opened_at: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        instrument: InstrumentId,
        timeframe: Timeframe,
        zone: tzinfo,
        opened_at: NDArray[np.int64],
        prices: NDArray[np.float64],
        volume: NDArray[np.float64] | None = None,
    ) -> CandleArray:
        """`prices` has the columns open, high, low, close.

        Raises:
            InvalidMarketData: no candle at all, times that do not ascend, or a price that cannot be true; it names the first.
        """
        if not len(opened_at):
            raise InvalidMarketData("candles", 0, f"there is no candle of {instrument}")
        back = np.flatnonzero(np.diff(opened_at) <= 0)
        if len(back):
            at = datetime.fromtimestamp(int(opened_at[back[0] + 1]), zone)
            raise InvalidMarketData("opened_at", str(at), f"candles of {instrument} must ascend in time, without repeats")
        opens, high, low, close = (np.ascontiguousarray(prices[:, column], dtype=np.float64) for column in range(4))
        sound = np.isfinite(prices).all(axis=1) & (low > 0) & (low <= np.minimum(opens, close)) & (np.maximum(opens, close) <= high)
        if volume is not None:
            sound &= np.isfinite(volume) & (volume >= 0)
        if not sound.all():
            row = int(np.flatnonzero(~sound)[0])
            at = datetime.fromtimestamp(int(opened_at[row]), zone)
            raise InvalidMarketData("open/high/low/close", prices[row].tolist(), f"cannot be true in {instrument} {at}")
        seconds = np.ascontiguousarray(opened_at, dtype=np.int64)
        return cls(
            instrument=instrument,
            timeframe=timeframe,
            zone=zone,
            opened_at=seconds,
            open=opens,
            high=high,
            low=low,
            close=close,
            volume=None if volume is None else np.ascontiguousarray(volume, dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.opened_at)

    @property
    def seconds(self) -> int:
        return self.timeframe.minutes * 60

    @cached_property
    def local(self) -> NDArray[np.int64]:
        """Wall-clock starts in the exchange's zone, as seconds since 1970-01-01 there."""
        return self.opened_at + utc_offsets(self.opened_at, self.zone)

    @cached_property
    def day(self) -> NDArray[np.int64]:
        """Exchange date of each candle, in days since 1970-01-01."""
        return self.local // SECONDS_A_DAY

    @cached_property
    def minute(self) -> NDArray[np.int64]:
        """Exchange-local minutes since midnight at each candle's start."""
        return self.local % SECONDS_A_DAY // 60

    def session(self, calendar: ExchangeCalendar | None) -> NDArray[np.int64]:
        """The local date on which the candle's session opens, in days since 1970-01-01; `OUT_OF_SESSION` outside of any.

        Without a calendar every date is one session.
        """
        return self._sessions(calendar)[0]

    def decided_at(self, calendar: ExchangeCalendar | None) -> NDArray[np.int64]:
        """Epoch seconds at which each candle is known: its end, or its session's where that cuts it short."""
        return np.minimum(self.opened_at + self.seconds, self._sessions(calendar)[1])

    def _sessions(self, calendar: ExchangeCalendar | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per candle: its session and when that closes."""
        if calendar is None:
            return self.day, (self.opened_at // SECONDS_A_DAY + 1) * SECONDS_A_DAY  # `candles.round_the_clock`
        session = np.full(len(self), OUT_OF_SESSION, dtype=np.int64)
        closes_at = self.opened_at + self.seconds
        days = np.unique(self.day)
        for day in np.union1d(days, days + 1).tolist():  # a session may open on the evening before its trading date
            bounds = calendar.bounds(date.fromordinal(_EPOCH_ORDINAL + day))
            if bounds is not None:
                opens, closes = (int(edge.timestamp()) for edge in bounds)
                first, last = np.searchsorted(self.opened_at, (opens, closes))
                session[first:last] = bounds[0].date().toordinal() - _EPOCH_ORDINAL
                closes_at[first:last] = closes
        return session, closes_at

    def candle(self, row: int) -> Candle:
        return Candle(
            instrument=self.instrument,
            timeframe=self.timeframe,
            opened_at=datetime.fromtimestamp(self.opened_at.item(row), self.zone),
            open=self.open.item(row),
            high=self.high.item(row),
            low=self.low.item(row),
            close=self.close.item(row),
            volume=None if self.volume is None else self.volume.item(row),
        )


def utc_offsets(opened_at: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """Seconds to add to UTC; looked up once an hour, as no zone changes its clock within one."""
    hours, hour_of_row = np.unique(opened_at // 3600, return_inverse=True)
    offsets = [int((datetime.fromtimestamp(hour * 3600, zone).utcoffset() or _NOTHING).total_seconds()) for hour in hours.tolist()]
    return np.array(offsets, dtype=np.int64)[hour_of_row]


_NOTHING = timedelta(0)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
