"""Candles and sessions for backtests: seeded walks, and days built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from adapters.candle_files import CandleFile, read_candles
from configs.calendar import load_calendar
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, BacktestSpec
from runtime.backtest.run import run_backtest
from runtime.calendar import ExchangeCalendar
from runtime.market import IST, Candle, Instrument, InstrumentKind, Segment, Timeframe
from runtime.session import ExitMode, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from tests.builders import at
from tests.shared_data import shared

FUTURE = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.FUTURE)
UTC = ZoneInfo("UTC")
COIN = Instrument(id="BTC/USDT", kind=InstrumentKind.SPOT, segment=Segment.CRYPTO, currency="USDT", tick_size=Decimal("0.01"))
NO_LIMITS = RiskLimits(max_daily_loss=None, max_orders_per_day=1_000_000_000)
SIGNALS_ONLY = Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=None)


def spec(
    strategy: str = "ema_cross",
    parameters: dict[str, Any] | None = None,
    *,
    instrument: Instrument = FUTURE,
    timeframe: Timeframe = Timeframe.M1,
    quantity: int | str = 1,
    protection: Protection = SIGNALS_ONLY,
    risk: RiskLimits = NO_LIMITS,
    fees: str = "flat:0.0003",
    **more: Any,
) -> BacktestSpec:
    session = {"capital": Decimal(1_000_000), "slippage_percent": Decimal(0)}
    session |= {name: more.pop(name) for name in list(session) if name in more}
    subscription = Subscription(
        strategy=strategy,
        parameters=parameters or {},
        instrument=instrument.id,
        timeframe=timeframe,
        sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity)),
        protection=protection,
    )
    config = SessionConfig(subscriptions=(subscription,), fees=fees, risk=risk, **session)
    return BacktestSpec(session=config, instrument=instrument, **more)


def walk(count: int, *, seed: int = 1, instrument: Instrument = FUTURE, start: float = 30_000.0, minutes_a_day: int = 375) -> CandleArray:
    """A seeded random walk on the tick; `minutes_a_day` minutes of each day from 09:15 in Kolkata (1440: round the clock from 00:00 UTC)."""
    random = np.random.default_rng(seed)
    tick = float(instrument.tick_size)
    closes = np.maximum(start + np.cumsum(random.normal(0.0, start * 0.0004, count)), start / 4)
    opens = np.concatenate(([start], closes[:-1])) + random.normal(0.0, start * 0.0001, count)
    high = np.maximum(opens, closes) + np.abs(random.normal(0.0, start * 0.0003, count))
    low = np.minimum(opens, closes) - np.abs(random.normal(0.0, start * 0.0003, count))
    decimals = -int(instrument.tick_size.as_tuple().exponent)
    prices = np.round(np.round(np.stack((opens, high, low, closes), axis=1) / tick) * tick, decimals)
    number = np.arange(count)
    day, minute = number // minutes_a_day, number % minutes_a_day
    first = (
        int(datetime(2020, 1, 1, 9, 15, tzinfo=IST).timestamp())
        if minutes_a_day < 1440
        else int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    )
    zone = IST if minutes_a_day < 1440 else UTC
    return CandleArray.of(instrument.id, Timeframe.M1, zone, first + day * 86_400 + minute * 60, prices)


def candles(
    rows: Sequence[tuple[float, float, float, float]], *, opened_at: datetime, instrument: Instrument = FUTURE, step: int = 1
) -> CandleArray:
    """Consecutive candles (open, high, low, close) by hand."""
    times = [int((opened_at + timedelta(minutes=number * step)).timestamp()) for number in range(len(rows))]
    return CandleArray.of(instrument.id, Timeframe.M1, IST, np.array(times), np.array(rows, dtype=np.float64))


class Scripted:
    """Says what it was told on the candle of each number, counted from 0. `targets`: number to (side, stop, target)."""

    name = "scripted"

    def __init__(self, targets: dict[int, tuple[Side, float | None, float | None]]) -> None:
        self._targets = targets
        self._number = -1

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:
        del context
        self._number += 1
        said = self._targets.get(self._number)
        if said is None:
            return None
        side, stop, target = said
        return Target(side=side, rule="script", reason="as told", price=candle.close, stop=stop, target=target)

    def describe(self) -> dict[str, float | str | None]:
        return {}


def by_hand(
    rows: Sequence[tuple[float, float, float, float]],
    targets: dict[int, tuple[Side, float | None, float | None]],
    *,
    clock: str = "10:00",
    calendar: ExchangeCalendar | None = None,
    step: int = 1,
    **settings: Any,
) -> BacktestResult:
    """A backtest of the candles `rows` from `clock` on; stops and targets are those of the script unless settings say otherwise."""
    settings = {"fees": "none", "protection": Protection(square_off=None)} | settings
    return run_backtest(spec("scripted", **settings), candles(rows, opened_at=at(clock), step=step), Scripted(targets), calendar=calendar)


def bank_nifty(start: date, end: date) -> CandleArray:
    """Recorded one-minute candles; skips the test where they are absent."""
    path = shared("nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet")
    return as_columns(read_candles(path, start=start, end=end, calendar=load_calendar()))


def as_columns(file: CandleFile) -> CandleArray:
    """Of an Indian exchange."""
    prices = np.stack((file.open, file.high, file.low, file.close), axis=1)
    return CandleArray.of(file.instrument, file.timeframe, IST, file.opened_at.astype(np.int64) - 19_800, prices)
