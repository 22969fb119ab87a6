"""The `MarketContext` of each candle, as the live market-data actor would give it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from math import nan

import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import SECONDS_A_DAY, CandleArray
from runtime.calendar import ExchangeCalendar
from runtime.candles import round_the_clock
from runtime.kernel_strategy import KernelStrategy
from runtime.market import Candle
from runtime.strategy import MarketContext


class Contexts:
    """Session bounds and volume of every candle; `session` is the exchange date in days since 1970-01-01, -1 outside its session."""

    def __init__(self, candles: CandleArray, calendar: ExchangeCalendar | None) -> None:
        self._candles = candles
        self._calendar = calendar
        self.session: NDArray[np.int64] = candles.session(calendar)
        self._bounds = lru_cache(maxsize=8)(self._day_bounds)

    def at(self, row: int, candle: Candle) -> MarketContext:
        session_open, session_close = self._bounds(int(self._candles.day[row]))
        return MarketContext(session_open=session_open, session_close=session_close, volume=candle.volume)

    def put_call_ratio(self, strategy: KernelStrategy, first: int, last: int) -> NDArray[np.float64]:
        del strategy
        return np.full(last - first, nan)

    def _day_bounds(self, day: int) -> tuple[datetime, datetime]:
        opened_at = datetime.fromtimestamp(day * SECONDS_A_DAY, UTC)
        if self._calendar is None:
            return round_the_clock(opened_at)
        midnight = datetime.combine(opened_at.date(), datetime.min.time(), self._calendar.zone)
        return self._calendar.bounds_at(midnight)


def exchange_date(day: int) -> date:
    """Days since 1970-01-01 as a date."""
    return date.fromordinal(_EPOCH_ORDINAL + day)


_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
