"""backtesting.py."""

import time
import warnings

import backtesting
from ema import FAST, FEE, SLOW, ema, frame, report

warnings.simplefilter("ignore")


class Reversal(backtesting.Strategy):
    def init(self):
        self.fast = self.I(ema, self.data.Close, FAST)
        self.slow = self.I(ema, self.data.Close, SLOW)

    def next(self):
        if self.fast[-1] > self.slow[-1]:
            if not self.position.is_long:
                self.buy(size=1)
        elif self.fast[-1] < self.slow[-1] and not self.position.is_short:
            self.sell(size=1)


test = backtesting.Backtest(frame(), Reversal, cash=1e12, commission=FEE, exclusive_orders=True, finalize_trades=True)
started = time.perf_counter()
result = test.run()
report(backtesting.__version__, time.perf_counter() - started, len(result["_trades"]))
