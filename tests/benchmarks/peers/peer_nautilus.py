"""NautilusTrader: an order that a bar's close leads to is filled at that close, so prices differ from the next open but trades do not."""

import time
from decimal import Decimal

import nautilus_trader
import numpy as np
import pandas as pd
from ema import FAST, FEE, SLOW, ema, frame, report
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

NAME, VENUE = InstrumentId(Symbol("X"), Venue("SIM")), Venue("SIM")
INSTRUMENT = CryptoPerpetual(
    NAME, Symbol("X"), BTC, USDT, USDT, False, 2, 0, Price.from_str("0.01"), Quantity.from_int(1), 0, 0,
    maker_fee=Decimal(str(FEE)), taker_fee=Decimal(str(FEE)), margin_init=Decimal(0), margin_maint=Decimal(0),
)  # fmt: skip
BARS = BarType.from_str("X.SIM-1-MINUTE-LAST-EXTERNAL")


class Reversal(Strategy):
    def __init__(self, side):
        super().__init__(StrategyConfig())
        self.side, self.at, self.held, self.trades = side, 0, 0, 0

    def on_start(self):
        self.subscribe_bars(BARS)

    def on_bar(self, bar):
        del bar
        wanted = self.side[self.at]
        self.at += 1
        if wanted and wanted != self.held:
            side = OrderSide.BUY if wanted > 0 else OrderSide.SELL
            self.submit_order(self.order_factory.market(NAME, side, Quantity.from_int(abs(wanted - self.held))))
            self.held, self.trades = wanted, self.trades + 1


candles = frame()
table = candles.rename(columns=str.lower)
table.index = pd.DatetimeIndex(table.index, tz="UTC") + pd.Timedelta(minutes=1)  # a bar is stamped with its end
bars = BarDataWrangler(BARS, INSTRUMENT).process(table)
fast, slow = ema(candles.Close, FAST), ema(candles.Close, SLOW)
side = np.where(fast > slow, 1, np.where(fast < slow, -1, 0))
side[-1] = 0  # what the last candle says has no next open to be filled at
engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000_000, USDT)], base_currency=None, default_leverage=Decimal(10))
engine.add_instrument(INSTRUMENT)
engine.add_data(bars)
strategy = Reversal(side.tolist())
engine.add_strategy(strategy)
started = time.perf_counter()
engine.run()
seconds = time.perf_counter() - started
filled = len(engine.trader.generate_order_fills_report())
assert filled == strategy.trades, (filled, strategy.trades)
report(nautilus_trader.__version__, seconds, filled)
