"""hftbacktest: a compiled tick simulator. Each candle's open becomes one quote and one trade; the order of a close meets the next open."""

import time
from importlib.metadata import version

import numpy as np
from ema import FAST, FEE, SLOW, ema, frame, report
from hftbacktest import GTC, MARKET, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype
from numba import njit

MINUTE, TICK = 60_000_000_000, 0.01


def quotes(opens):
    """At each open: bid one tick below and ask at the price, the ones before taken away."""
    count = len(opens)
    events = np.zeros(4 * count, event_dtype)
    at = np.repeat(np.arange(1, count + 1) * MINUTE, 4)
    events["exch_ts"], events["local_ts"] = at, at
    before = np.concatenate((opens[:1], opens[:-1]))
    for place, (side, prices, size) in enumerate(
        ((BUY_EVENT, before - TICK, 0.0), (SELL_EVENT, before, 0.0), (BUY_EVENT, opens - TICK, 1e6), (SELL_EVENT, opens, 1e6))
    ):
        rows = slice(place, None, 4)
        events["ev"][rows] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
        events["px"][rows], events["qty"][rows] = prices, size
    return events


@njit
def trade(hbt, side):
    held, orders, trades = 0, 0, 0
    for at in range(len(side)):
        if hbt.elapse(MINUTE) != 0:
            break
        wanted = side[at]
        if wanted not in (0, held):
            orders += 1
            size = abs(wanted - held)
            if wanted > 0:
                hbt.submit_buy_order(0, orders, 1e9, size, GTC, MARKET, False)
            else:
                hbt.submit_sell_order(0, orders, 1e-2, size, GTC, MARKET, False)
            held = wanted
            trades += 1
            hbt.clear_inactive_orders(0)
    return trades


candles = frame()
fast, slow = ema(candles.Close, FAST), ema(candles.Close, SLOW)
side = np.where(fast > slow, 1, np.where(fast < slow, -1, 0)).astype(np.int64)
told = np.concatenate((np.zeros(1, np.int64), side[:-1]))  # of the candle before: known when this one opens


events = quotes(candles.Open.to_numpy())  # the simulator reads it where it lies: it must not go away


def run():
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(FEE, FEE)
        .tick_size(TICK)
        .lot_size(1)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    started = time.perf_counter()
    trade(hbt, told)
    seconds, done = time.perf_counter() - started, int(hbt.state_values(0).num_trades)
    hbt.close()
    return seconds, done


run()  # compiles
seconds, trades = run()
report(version("hftbacktest"), seconds, trades)
