"""Ticks to one-minute candles to four indicators: nanoseconds a tick. Run: `python -m tests.benchmarks.candles`; prints JSON.

The baseline in the same run is a bare Python loop over the same ticks that reads time and price: what no code can go below.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from runtime.candles import CandleBuilder
from runtime.indicators import Atr, Ema, Vwap
from runtime.market import IST, Candle, Tick
from tests.benchmarks.report import figure, publish

TICKS = 200_000
TICKS_PER_SECOND = 10
REPEATS = 15
GOAL_NS = {"p50": 2_000.0}
OPEN = datetime(2026, 11, 20, 9, 15, tzinfo=IST)


def ticks() -> list[Tick]:
    """A seeded random walk; times ascend."""
    walk, price, made = random.Random(7), 52_000.0, list[Tick]()
    for number in range(TICKS):
        price += walk.choice((-0.5, -0.05, 0.05, 0.5))
        ts = OPEN + timedelta(microseconds=number * 1_000_000 // TICKS_PER_SECOND)
        made.append(Tick(instrument="NSE:BANKNIFTY", ts=ts, price=price, volume=1.0))
    return made


def build_candles(stream: Sequence[Tick]) -> list[Candle]:
    builder = CandleBuilder("NSE:BANKNIFTY", has_volume=True)
    add = builder.add
    return [candle for tick in stream if (candle := add(tick)) is not None]


def build_candles_and_indicators(stream: Sequence[Tick]) -> None:
    builder = CandleBuilder("NSE:BANKNIFTY", has_volume=True)
    fast, slow, atr, vwap = Ema(9), Ema(21), Atr(14), Vwap()
    for tick in stream:
        candle = builder.add(tick)
        if candle is not None:
            fast.update(candle.close)
            slow.update(candle.close)
            atr.update(candle.high, candle.low, candle.close)
            vwap.update(candle.high, candle.low, candle.close, candle.volume)


def update_indicators(candles: Sequence[Candle]) -> None:
    fast, slow, atr, vwap = Ema(9), Ema(21), Atr(14), Vwap()
    for candle in candles:
        fast.update(candle.close)
        slow.update(candle.close)
        atr.update(candle.high, candle.low, candle.close)
        vwap.update(candle.high, candle.low, candle.close, candle.volume)


def bare_loop(stream: Sequence[Tick]) -> None:
    latest, high = OPEN, 0.0
    for tick in stream:
        ts, price = tick.ts, tick.price
        if ts >= latest and price > high:
            latest, high = ts, price


def nanoseconds(work: Callable[[], object], items: int) -> list[float]:
    """Processor time per item, one figure a repeat: nothing here waits, so it is a quiet machine's wall time."""
    figures: list[float] = []
    for _ in range(REPEATS):
        started = time.process_time_ns()
        work()
        figures.append((time.process_time_ns() - started) / items)
    return figures


def main() -> None:
    stream = ticks()
    candles = build_candles(stream) * 100
    bare = ("a bare loop over the ticks", nanoseconds(lambda: bare_loop(stream), TICKS))
    figures = [
        figure("a tick to candles", "ns", nanoseconds(lambda: build_candles(stream), TICKS), baseline=bare),
        figure(
            "a tick to candles and four indicators",
            "ns",
            nanoseconds(lambda: build_candles_and_indicators(stream), TICKS),
            goal=GOAL_NS,
            baseline=bare,
        ),
        figure("four indicators, a candle", "ns", nanoseconds(lambda: update_indicators(candles), len(candles))),
    ]
    publish("candles", {"ticks": TICKS, "ticks_per_minute": TICKS_PER_SECOND * 60, "repeats": REPEATS}, figures)


if __name__ == "__main__":
    main()
