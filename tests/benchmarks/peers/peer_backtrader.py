"""backtrader."""

import time

import backtrader
from ema import FAST, FEE, SLOW, frame, report


class Reversal(backtrader.Strategy):
    def __init__(self):
        self.fast = backtrader.indicators.EMA(self.data.close, period=FAST)
        self.slow = backtrader.indicators.EMA(self.data.close, period=SLOW)
        self.trades = 0

    def next(self):
        wanted = 1 if self.fast[0] > self.slow[0] else -1
        if self.position.size != wanted:
            self.order_target_size(target=wanted)

    def notify_trade(self, trade):
        self.trades += trade.justopened


cerebro = backtrader.Cerebro(stdstats=False)
cerebro.addstrategy(Reversal)
cerebro.adddata(backtrader.feeds.PandasData(dataname=frame()))
cerebro.broker.setcash(1e12)
cerebro.broker.setcommission(commission=FEE)
started = time.perf_counter()
(strategy,) = cerebro.run()
report(backtrader.__version__, time.perf_counter() - started, strategy.trades)
