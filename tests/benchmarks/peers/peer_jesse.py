"""jesse: a market order is filled at the close that led to it, so prices differ from the next open but trades do not."""

import time
from importlib.metadata import version

import numpy as np
from ema import FAST, FEE, SLOW, ema, frame, report
from jesse import research
from jesse.strategies import Strategy

EXCHANGE, SYMBOL = "Binance Perpetual Futures", "BTC-USDT"
candles = frame()
fast, slow = ema(candles.Close, FAST), ema(candles.Close, SLOW)
side = np.where(fast > slow, 1, np.where(fast < slow, -1, 0))
side[-1] = 0  # what the last candle says has no next open to be filled at


class Reversal(Strategy):
    trades = 0

    @property
    def wanted(self):
        return side[self.index]

    def should_long(self):
        return self.wanted > 0

    def should_short(self):
        return self.wanted < 0

    def go_long(self):
        self.buy = 1, self.price
        Reversal.trades += 1

    def go_short(self):
        self.sell = 1, self.price
        Reversal.trades += 1

    def update_position(self):
        if self.wanted and (self.wanted > 0) != self.is_long:
            self.liquidate()


rows = np.column_stack(
    [
        (candles.index - candles.index[0]) // np.timedelta64(1, "ms") + 1_577_836_800_000,
        candles.Open,
        candles.Close,
        candles.High,
        candles.Low,
        candles.Volume,
    ]
).astype(np.float64)
config = {
    "starting_balance": 1e9,
    "fee": FEE,
    "type": "futures",
    "futures_leverage": 1,
    "futures_leverage_mode": "cross",
    "exchange": EXCHANGE,
    "warm_up_candles": 0,
}
routes = [{"exchange": EXCHANGE, "strategy": Reversal, "symbol": SYMBOL, "timeframe": "1m"}]
data = {f"{EXCHANGE}-{SYMBOL}": {"exchange": EXCHANGE, "symbol": SYMBOL, "candles": rows}}
started = time.perf_counter()
result = research.backtest(config, routes, [], data)
seconds = time.perf_counter() - started
closed = result["metrics"]["total"]  # what is open at the end is closed there
assert closed == Reversal.trades, (closed, Reversal.trades)
report(version("jesse"), seconds, Reversal.trades)
