"""Recorded Bank Nifty candles, read with pandas so that the product's own reader is not its own oracle."""

from __future__ import annotations

from datetime import date
from functools import cache

import pandas as pd

from runtime.market import IST, Candle, Timeframe
from tests.shared_data import shared

BANKNIFTY_FILE = "nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet"


@cache
def _frame() -> pd.DataFrame:
    return pd.read_parquet(shared(BANKNIFTY_FILE))


def recorded_day(day: date) -> list[Candle]:
    """The recorded 1-minute candles of one session, 09:15 to 15:30 IST."""
    frame = _frame()
    rows = frame[frame.ts_ist.dt.date == day]
    return [
        Candle(
            instrument="NSE:BANKNIFTY",
            timeframe=Timeframe.M1,
            opened_at=row.ts_ist.to_pydatetime().replace(tzinfo=IST),
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
        )
        for row in rows.itertuples()
    ]
