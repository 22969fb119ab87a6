"""What a backtest is asked, and what it answers. Times are UTC; money is in the instrument's currency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.errors import InvalidConfig
from runtime.market import Instrument
from runtime.metrics import Metrics
from runtime.session import SessionConfig, Subscription

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Times: TypeAlias = NDArray[np.datetime64]
"""datetime64[s], UTC."""

ZERO = Decimal(0)


class FillModel(StrEnum):
    """At which price a market order that is decided on a candle's close is filled."""

    NEXT_OPEN = "next_open"
    """The first price after the decision."""
    CLOSE = "close"
    """The very price that was decided on: optimistic, nobody trades at a price that he has to see first."""


class Lane(StrEnum):
    EXACT = "exact"
    """The live engine, order by order."""
    SCREENING = "screening"
    """A compiled kernel with the same trade list, for strategies and settings that it supports."""


class Slippage(msgspec.Struct, frozen=True, kw_only=True):
    """Moves every fill of a market order against the trader, and is added up: `ticks` of the instrument always, up to
    `random_ticks` more drawn per bar from the seed (uniform, whole ticks). `SessionConfig.slippage_percent` is the third
    model; it serves where both of these are zero.
    """

    ticks: int = 0
    random_ticks: int = 0

    def __post_init__(self) -> None:
        if self.ticks < 0 or self.random_ticks < 0:
            raise InvalidConfig("slippage", (self.ticks, self.random_ticks), "ticks are whole numbers, zero or above")


class BacktestSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, one user's session and one stretch of candles.

    `session` is what START_TRADING would have sent, with exactly one subscription: strategy, parameters, instrument,
    timeframe, sizing, protection; besides it capital, fees, percentage slippage and risk limits. `instrument` is what the
    candles are of (an index is traded through options on it, anything else by itself). Candles before `start` warm the
    strategy up; `start` and `end` are exchange dates, both included, None is all there is. `close_at_end` sells what is
    still open at the last close, so that it counts.
    """

    session: SessionConfig
    instrument: Instrument
    start: date | None = None
    end: date | None = None
    fill: FillModel = FillModel.NEXT_OPEN
    slippage: Slippage = Slippage()
    lane: Lane = Lane.EXACT
    seed: int = 0
    close_at_end: bool = True
    user_id: str = "backtest"

    def __post_init__(self) -> None:
        subscriptions = self.session.subscriptions
        if len(subscriptions) != 1:
            raise InvalidConfig("subscriptions", len(subscriptions), "a backtest runs exactly one: run one backtest for each")
        if subscriptions[0].instrument != self.instrument.id:
            raise InvalidConfig("instrument", self.instrument.id, f"the subscription is to {subscriptions[0].instrument}")
        if self.start and self.end and self.start > self.end:
            raise InvalidConfig("start", self.start, f"is after the end {self.end}")

    @property
    def subscription(self) -> Subscription:
        return self.session.subscriptions[0]


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One position from its entry to its end, as a row of `TradeTable`."""

    entry_time: np.datetime64
    exit_time: np.datetime64
    entry_bar: int
    exit_bar: int
    side: str
    instrument: str
    quantity: float
    entry_price: float
    exit_price: float
    rule: str
    exit_reason: str
    gross: float
    fees: float
    net: float
    mae: float
    mfe: float
    bars_held: int


class TradeTable(msgspec.Struct, frozen=True, kw_only=True):
    """Closed trades as columns, in order of their exits.

    `entry_time`/`exit_time`: start of the bar in which the fill happened (of a `close` fill: its end). `entry_bar`/`exit_bar`:
    row numbers of the candles. `side`: +1 long, -1 short exposure to the underlying; `direction`: +1 bought, -1 sold what was
    traded (a bought put is side -1, direction +1). `quantity` in units. `rule`, `exit_reason` and `instrument` are numbers of
    rows in `rules`, `exit_reasons`, `instruments`. `gross`, `fees` (both legs; `entry_fees` the first), `net` in money.
    `mae`/`mfe`: largest loss (zero or below) and gain (zero or above) while it was open, in money before fees, from the
    extremes of whole bars held and the exit's own price.
    """

    entry_time: Times
    exit_time: Times
    entry_bar: Integers
    exit_bar: Integers
    side: NDArray[np.int8]
    direction: NDArray[np.int8]
    quantity: Floats
    entry_price: Floats
    exit_price: Floats
    rule: NDArray[np.int16]
    exit_reason: NDArray[np.int16]
    instrument: NDArray[np.int32]
    gross: Floats
    fees: Floats
    entry_fees: Floats
    net: Floats
    mae: Floats
    mfe: Floats
    rules: tuple[str, ...]
    exit_reasons: tuple[str, ...]
    instruments: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.entry_bar)

    @property
    def bars_held(self) -> Integers:
        return self.exit_bar - self.entry_bar

    def row(self, at: int) -> Trade:
        return Trade(
            entry_time=self.entry_time[at],
            exit_time=self.exit_time[at],
            entry_bar=int(self.entry_bar[at]),
            exit_bar=int(self.exit_bar[at]),
            side="LONG" if self.side[at] > 0 else "SHORT",
            instrument=self.instruments[int(self.instrument[at])],
            quantity=float(self.quantity[at]),
            entry_price=float(self.entry_price[at]),
            exit_price=float(self.exit_price[at]),
            rule=self.rules[int(self.rule[at])],
            exit_reason=self.exit_reasons[int(self.exit_reason[at])],
            gross=float(self.gross[at]),
            fees=float(self.fees[at]),
            net=float(self.net[at]),
            mae=float(self.mae[at]),
            mfe=float(self.mfe[at]),
            bars_held=int(self.bars_held[at]),
        )

    def __iter__(self) -> Iterator[Trade]:
        return (self.row(at) for at in range(len(self)))


class EquityCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Capital, realised net profit and the open position's mark at the close of each trading day (of daily candles: each bar).

    `day` holds exchange dates (datetime64[D]), `time` the close of the day's last candle, `bar` its row number.
    """

    day: NDArray[np.datetime64]
    time: Times
    bar: Integers
    equity: Floats


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`assumptions` in plain words; `synthetic` when any price was computed by a model instead of recorded.

    `quality` is what the reader of the candles found wrong with them, one line each. `fingerprint` is a hash of
    configuration, seed and candles: equal fingerprints mean equal results. The screening lane does not count `signals`, nor
    `orders` that never filled. `signals` counts those of the reported dates,
    `skipped` the ones that the engine was woken for and refused, by reason (once a day's entries are used up it is not woken). `seconds` is the time the run took, None until its caller sets it.
    """

    spec: BacktestSpec
    trades: TradeTable
    equity: EquityCurve
    metrics: Metrics
    assumptions: tuple[str, ...]
    synthetic: bool
    quality: tuple[str, ...]
    fingerprint: str
    bars: int
    bars_woken: int
    orders: int
    signals: int
    skipped: dict[str, int]
    seconds: float | None = None
