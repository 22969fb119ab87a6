"""The `MarketContext` of each candle, as the live market-data actor would give it."""

from __future__ import annotations

from datetime import datetime
from math import nan

import numpy as np
from numpy.typing import NDArray

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket
from runtime.calendar import ExchangeCalendar
from runtime.candles import round_the_clock
from runtime.market import Candle
from runtime.strategy import MarketContext


class Contexts:
    """Session bounds, volume and option chain of every candle; `session` as `CandleArray.session` gives it."""

    def __init__(self, candles: CandleArray, calendar: ExchangeCalendar | None, options: OptionMarket | None = None) -> None:
        self._options = options
        self._ratios = None if options is None else options.put_call_ratios()
        self._bounds_at = round_the_clock if calendar is None else calendar.bounds_at
        self._bounds: tuple[datetime, datetime] | None = None
        self.session: NDArray[np.int64] = candles.session(calendar)

    def at(self, row: int, candle: Candle) -> MarketContext:
        session_open, session_close = self._bounds_of(candle.opened_at)
        chain, previous = (None, None) if self._options is None else self._options.chains(row, candle)
        return MarketContext(
            session_open=session_open, session_close=session_close, volume=candle.volume, chain=chain, previous_chain=previous
        )

    def put_call_ratio(self, first: int, last: int) -> NDArray[np.float64]:
        return np.full(last - first, nan) if self._ratios is None else self._ratios[first:last]

    def _bounds_of(self, ts: datetime) -> tuple[datetime, datetime]:
        """The same objects while the session lasts: strategies may tell a new session by them."""
        bounds = self._bounds
        if bounds is None or not bounds[0] <= ts < bounds[1]:
            bounds = self._bounds = self._bounds_at(ts)
        return bounds
