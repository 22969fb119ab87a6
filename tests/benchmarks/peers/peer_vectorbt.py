"""vectorbt: signals as arrays, shifted by one candle so that they fill at the next open. The first run compiles and is not counted."""

import time

import pandas as pd
import vectorbt
from ema import FAST, FEE, SLOW, ema, frame, report

candles = frame()


def run():
    fast, slow = pd.Series(ema(candles.Close, FAST), candles.index), pd.Series(ema(candles.Close, SLOW), candles.index)
    long, short = (fast > slow).shift(1, fill_value=False), (fast < slow).shift(1, fill_value=False)
    portfolio = vectorbt.Portfolio.from_signals(
        candles.Close, entries=long, short_entries=short, price=candles.Open, size=1, fees=FEE, init_cash=1e12, freq="1min"
    )
    return portfolio.trades.count()


run()
started = time.perf_counter()
trades = run()
report(vectorbt.__version__, time.perf_counter() - started, int(trades))
