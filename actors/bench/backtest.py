"""How fast backtests are on this machine: both lanes, a sweep and a fleet, over seeded one-minute candles.

The work, the same as the peers' in tests/benchmarks/peers: EMA 9/21 reversal, always in the market, fills at the next open,
a fixed quantity of 1, a fee of 0.03 % on each side.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
from msgspec import structs

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.fleet import FleetUser, run_fleet
from runtime.backtest.options import OptionMarket, OptionTerms, realised_volatility, weekday_expiries
from runtime.backtest.result import BacktestSpec, Lane
from runtime.backtest.run import run_backtest
from runtime.backtest.screening import Screen
from runtime.kernel_strategy import KernelStrategy
from runtime.market import IST, Instrument, InstrumentKind, Segment, Timeframe
from runtime.session import ExitMode, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from strategies import create

COIN = Instrument(id="BTC/USDT", kind=InstrumentKind.SPOT, segment=Segment.CRYPTO, currency="USDT", tick_size=Decimal("0.01"))
INDEX = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
SPARSE_RULES: dict[str, str | int] = {"rules": "orb", "trade_lock_minutes": 375}
SWEPT = [(fast, slow) for fast in range(2, 27) for slow in range(30, 70)]
FLEET_USERS = 1_000
REPEATS = 3

T = TypeVar("T")


def backtest_figures(bars: int, *, repeats: int = REPEATS) -> dict[str, Any]:
    """Medians of `repeats` runs, each after one that compiles. Rates are candles a second of wall-clock time.

    `exact_dense`: the reversal through the live engine. `exact_sparse`: the scalper's opening-range rule on an index with options,
    locked for a session after each signal: a trade a day. `fleet_1000_ratio`: a thousand users' time as a multiple of one user's in the exact lane.
    `trades` of the reversal, the one open at the end included.
    """
    coins, asked = walk(bars, COIN, minutes_a_day=1440), reversal()
    strategy = _ema(9, 21)
    run_backtest(asked, _first(coins, 5_000), _ema(9, 21))
    dense, exact = _median(lambda: run_backtest(asked, coins, _ema(9, 21)), repeats)
    screen = Screen(asked, coins)
    screen.trades(strategy)
    screening, (trades, _) = _median(lambda: screen.trades(strategy), repeats)
    if trades != exact.metrics.trades:
        raise RuntimeError(f"the lanes disagree: {exact.metrics.trades} and {trades} trades")
    swept = [_ema(fast, slow) for fast, slow in SWEPT]
    screen.sweep(swept[:2])
    sweep, _ = _median(lambda: screen.sweep(swept), 1)
    people = [_user(asked, number) for number in range(FLEET_USERS)]
    run_fleet(asked, people[:2], coins, lambda: _ema(9, 21))
    fleet, _ = _median(lambda: run_fleet(asked, people, coins, lambda: _ema(9, 21)), repeats)
    sparse, few = _sparse(bars, repeats)
    return {
        "bars": bars,
        "lanes": {
            "exact_sparse_bars_s": round(bars / sparse),
            "exact_dense_bars_s": round(bars / dense),
            "screening_bars_s": round(bars / screening),
            "sweep_1000_bars_s": round(bars * len(swept) / sweep),
            "fleet_1000_ratio": round(fleet / dense, 3),
        },
        "trades": trades,
        "sparse_trades": few,
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def reversal() -> BacktestSpec:
    subscription = Subscription(
        strategy="ema_cross",
        instrument=COIN.id,
        sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(1)),
        protection=Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=None),
    )
    limits = RiskLimits(max_daily_loss=None, max_orders_per_day=1_000_000)
    session = SessionConfig(capital=Decimal(1_000_000), fees="flat:0.0003", subscriptions=(subscription,), risk=limits)
    return BacktestSpec(session=session, instrument=COIN, lane=Lane.EXACT)


def walk(count: int, instrument: Instrument, *, minutes_a_day: int, seed: int = 7) -> CandleArray:
    """A seeded random walk on the tick from 30,000: round the clock (1440 minutes a day), or a session from 09:15 in Kolkata."""
    random, start, tick = np.random.default_rng(seed), 30_000.0, float(instrument.tick_size)
    closes = np.maximum(start + np.cumsum(random.normal(0.0, start * 0.0004, count)), start / 4)
    opens = np.concatenate(([start], closes[:-1])) + random.normal(0.0, start * 0.0001, count)
    high = np.maximum(opens, closes) + np.abs(random.normal(0.0, start * 0.0003, count))
    low = np.minimum(opens, closes) - np.abs(random.normal(0.0, start * 0.0003, count))
    prices = np.round(np.round(np.stack((opens, high, low, closes), axis=1) / tick) * tick, 2)
    number = np.arange(count)
    opened_at = 1_577_836_800 + number // minutes_a_day * 86_400 + number % minutes_a_day * 60  # from 2020-01-01
    if minutes_a_day == 1440:
        return CandleArray.of(instrument.id, Timeframe.M1, UTC, opened_at, prices)
    return CandleArray.of(instrument.id, Timeframe.M1, IST, opened_at + 13_500, prices)  # 03:45 UTC


def _sparse(bars: int, repeats: int) -> tuple[float, int]:
    candles = walk(bars, INDEX, minutes_a_day=375)
    volatility, expiries = realised_volatility(candles), weekday_expiries(candles)
    subscription = Subscription(
        parameters=dict(SPARSE_RULES), sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(15)), protection=Protection()
    )
    session = SessionConfig(fees="indian_options", subscriptions=(subscription,))
    asked = BacktestSpec(session=session, instrument=INDEX)

    def run() -> int:
        options = OptionMarket(candles, OptionTerms(expiries=expiries), volatility)
        return len(run_backtest(asked, candles, create("index_options_scalper", SPARSE_RULES), options=options).trades)

    run()
    return _median(run, repeats)


def _user(asked: BacktestSpec, number: int) -> FleetUser:
    sizing = Sizing(method=SizingMethod.FIXED, quantity=Decimal(1 + number % 20))
    subscription = structs.replace(asked.subscription, sizing=sizing)
    session = structs.replace(asked.session, subscriptions=(subscription,), capital=Decimal(1_000_000 + 1_000 * number))
    return FleetUser(user_id=f"user-{number}", session=session)


def _ema(fast: int, slow: int) -> KernelStrategy:
    strategy = create("ema_cross", {"fast_period": fast, "slow_period": slow})
    if not isinstance(strategy, KernelStrategy):
        raise TypeError("ema_cross is no kernel strategy")
    return strategy


def _first(candles: CandleArray, count: int) -> CandleArray:
    columns = {name: getattr(candles, name)[:count] for name in ("opened_at", "open", "high", "low", "close")}
    return structs.replace(candles, **columns)


def _median(work: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Seconds, and what the last run gave."""
    seconds: list[float] = []
    outcome: T | None = None
    for _ in range(repeats):
        started = time.perf_counter()
        outcome = work()
        seconds.append(time.perf_counter() - started)
    if outcome is None:
        raise ValueError("nothing was run")
    return statistics.median(seconds), outcome
