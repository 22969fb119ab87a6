"""PyBroker."""

import time

import pybroker
from ema import FAST, FEE, SLOW, ema, frame, report
from pybroker import ExecContext, FeeMode, Strategy, StrategyConfig

candles = (
    frame()
    .reset_index()
    .rename(columns={"time": "date", "Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"})
)
candles["symbol"] = "X"
fast, slow = ema(candles.close, FAST), ema(candles.close, SLOW)  # its own indicators are copied anew on every candle


def reverse(context: ExecContext) -> None:
    quick, lazy = fast[context.bars - 1], slow[context.bars - 1]
    if quick > lazy and not context.long_pos():
        context.buy_shares = 1 + (1 if context.short_pos() else 0)
    elif quick < lazy and not context.short_pos():
        context.sell_shares = 1 + (1 if context.long_pos() else 0)


config = StrategyConfig(
    initial_cash=1e9,
    fee_mode=FeeMode.ORDER_PERCENT,
    fee_amount=100 * FEE,
    buy_delay=1,
    sell_delay=1,
    exit_on_last_bar=True,
    exit_sell_fill_price=pybroker.PriceType.CLOSE,
    exit_cover_fill_price=pybroker.PriceType.CLOSE,
)
strategy = Strategy(candles, candles.date.iloc[0], candles.date.iloc[-1], config)
strategy.add_execution(reverse, ["X"])
started = time.perf_counter()
result = strategy.backtest(calc_bootstrap=False)
report(pybroker.__version__, time.perf_counter() - started, int(result.metrics.trade_count))
