"""bt: trades at the close of the candle that it is called on, so it is given opens and signals shifted by one candle."""

import time

import bt
import numpy as np
import pandas as pd
from ema import FAST, FEE, SLOW, ema, frame, report

candles = frame()


class Reverse(bt.Algo):
    """One unit long or short; bt has no order book, a strategy sets its security's position."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.at, self.held, self.trades = wanted, 0, 0, 0

    def __call__(self, target):
        wanted = self.wanted[self.at]
        self.at += 1
        if wanted and wanted != self.held:
            target.transact(wanted - self.held, child="X")
            self.trades, self.held = self.trades + 1, wanted
        return True


started = time.perf_counter()
fast, slow = ema(candles.Close, FAST), ema(candles.Close, SLOW)
side = np.where(fast > slow, 1.0, np.where(fast < slow, -1.0, 0.0))
algo = Reverse(np.concatenate(([0.0, 0.0], side[:-1])))  # bt puts a row before the first
strategy = bt.Strategy("reversal", [algo], children=["X"])
test = bt.Backtest(
    strategy,
    pd.DataFrame({"X": candles.Open}),
    initial_capital=1e9,
    commissions=lambda q, p: abs(q) * p * FEE,
    integer_positions=True,
    progress_bar=False,
)
test.strategy.get_data = None
algo = test.strategy.stack.algos[0]
test.run()
report(bt.__version__, time.perf_counter() - started, algo.trades)
