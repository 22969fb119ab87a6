"""Ticks to one-minute candles to four indicators: nanoseconds a tick. Run: `python -m tests.benchmarks.candles`; prints JSON.

The baseline in the same run is a bare Python loop over the same ticks that reads time and price: what no code can go below.
"""

from __future__ import annotations

import json
import platform
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from runtime.candles import CandleBuilder
from runtime.indicators import Atr, Ema, Vwap
from runtime.market import IST, Candle, Tick

TICKS = 200_000
TICKS_PER_SECOND = 10
REPEATS = 15
GOAL_NS = 2_000
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
    """Processor time per item, ascending, one figure a repeat: nothing here waits, so it is a quiet machine's wall time."""
    figures: list[float] = []
    for _ in range(REPEATS):
        started = time.process_time_ns()
        work()
        figures.append((time.process_time_ns() - started) / items)
    return sorted(figures)


def percentile(figures: Sequence[float], fraction: float) -> float:
    return round(figures[min(int(len(figures) * fraction), len(figures) - 1)], 1)


def main() -> None:
    stream = ticks()
    candles = build_candles(stream) * 100
    measured = {
        "tick_to_candle": nanoseconds(lambda: build_candles(stream), TICKS),
        "tick_to_candle_and_four_indicators": nanoseconds(lambda: build_candles_and_indicators(stream), TICKS),
        "four_indicators_per_candle": nanoseconds(lambda: update_indicators(candles), len(candles)),
        "baseline_bare_loop": nanoseconds(lambda: bare_loop(stream), TICKS),
    }
    p50 = {name: percentile(figures, 0.5) for name, figures in measured.items()}
    report = {
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "python": platform.python_version()},
        "sizes": {"ticks": TICKS, "ticks_per_minute": TICKS_PER_SECOND * 60, "repeats": REPEATS},
        "nanoseconds": {name: {"p50": p50[name], "p99": percentile(figures, 0.99)} for name, figures in measured.items()},
        "ratio_to_baseline": round(p50["tick_to_candle_and_four_indicators"] / p50["baseline_bare_loop"], 2),
        "goal_nanoseconds": GOAL_NS,
        "goal_met": p50["tick_to_candle_and_four_indicators"] <= GOAL_NS,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
