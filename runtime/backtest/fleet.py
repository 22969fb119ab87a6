"""One strategy's signals, thousands of users' own sizes and limits.

The strategy runs once. A user whose trades are the shared ones, differing in size alone, is booked by a compiled loop over
them; that holds for sizes without a stop, flat fees, and limits that provably never bind. Everybody else has an engine of
his own, fed with the shared signals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from runtime.backtest import screen_kernels as kernels
from runtime.backtest.assumptions import assumptions
from runtime.backtest.book import TradeBook
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.contexts import Contexts
from runtime.backtest.days import day_ends, equity_at, traded_rows
from runtime.backtest.exact import ExactLane
from runtime.backtest.options import OptionMarket
from runtime.backtest.prices import OwnPrices, PriceSource
from runtime.backtest.result import BacktestSpec
from runtime.backtest.screen_rules import why_not
from runtime.backtest.screening import CENTS, Screen, decimals, in_units
from runtime.backtest.signals import SharedSignals, signal_source, stretches
from runtime.backtest.ticks import in_ticks
from runtime.calendar import ExchangeCalendar
from runtime.compiled import compiled
from runtime.errors import InvalidConfig
from runtime.fees import fee_schedule
from runtime.kernel_strategy import KernelStrategy
from runtime.session import ExitMode, SessionConfig, Sizing, SizingMethod
from runtime.sizing import round_down
from runtime.strategy import Strategy

_IST_SECONDS, _DAY_SECONDS = 19_800, 86_400
_MARGIN = 0.99
"""A limit counts as one that never binds while less than this much of it was ever used."""
_LARGEST = 2**62


class FleetUser(msgspec.Struct, frozen=True, kw_only=True):
    """`session` has one subscription, to the fleet's strategy, parameters, instrument and timeframe."""

    user_id: str
    session: SessionConfig


class FleetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One row per user, in the order given; `equity` has a column per day of `day`. `by_engine`: who needed an engine of his own.

    `assumptions` and `synthetic` as those of a `BacktestResult`.
    """

    spec: BacktestSpec
    assumptions: tuple[str, ...]
    synthetic: bool
    users: tuple[str, ...]
    capital: NDArray[np.float64]
    by_engine: NDArray[np.bool_]
    trades: NDArray[np.int64]
    gross: NDArray[np.float64]
    fees: NDArray[np.float64]
    net: NDArray[np.float64]
    day: NDArray[np.datetime64]
    equity: NDArray[np.float64]


def run_fleet(
    spec: BacktestSpec,
    users: Sequence[FleetUser],
    candles: CandleArray,
    create: Callable[[], Strategy],
    *,
    calendar: ExchangeCalendar | None = None,
    options: OptionMarket | None = None,
) -> FleetResult:
    """`spec` says what everybody shares: instrument, dates, fills, slippage; its session only names the subscription.

    Args:
        spec: as of `run_backtest`.
        users: their own sizing, protection, limits, capital and fees.
        candles: as of `run_backtest`.
        create: makes a fresh instance of the strategy.
        calendar: as of `run_backtest`.
        options: as of `run_backtest`.

    Raises:
        InvalidConfig: a user subscribes to something else, or see `run_backtest`.
    """
    for user in users:
        if [subscription.key for subscription in user.session.subscriptions] != [spec.subscription.key]:
            raise InvalidConfig("users", user.user_id, f"must subscribe to {spec.subscription.key} and nothing else")
    first, last = traded_rows(spec, candles)
    ends = day_ends(candles, first, last)
    result = FleetResult(
        spec=spec,
        assumptions=(*_PERSONAL, *assumptions(spec, synthetic=options is not None), *(() if options is None else options.notes())),
        synthetic=options is not None,
        capital=np.array([float(user.session.capital) for user in users]),
        users=tuple(user.user_id for user in users),
        by_engine=np.ones(len(users), dtype=np.bool_),
        trades=np.zeros(len(users), dtype=np.int64),
        **{name: np.zeros(len(users)) for name in ("gross", "fees", "net")},
        day=candles.day[ends].astype("datetime64[D]"),
        equity=np.zeros((len(users), len(ends))),
    )
    strategy = create()
    if options is None and isinstance(strategy, KernelStrategy):
        _Vectorised(spec, candles, strategy, calendar).book(users, result)
    rest = np.flatnonzero(result.by_engine).tolist()
    if rest:
        _by_engine(spec, [(number, users[number]) for number in rest], candles, create(), calendar, options, result)
    return result


class _Vectorised:
    """The shared trades, made ready once."""

    def __init__(self, spec: BacktestSpec, candles: CandleArray, strategy: KernelStrategy, calendar: ExchangeCalendar | None) -> None:
        self._spec, self._candles, self._strategy = spec, candles, strategy
        self._screen: Screen | None = None
        unit = Sizing(method=SizingMethod.FIXED, quantity=spec.instrument.lot_size)
        if spec.subscription.protection.exit_mode is not ExitMode.SIGNAL_ONLY:
            return
        shared = _with(spec, structs.replace(spec.session, fees="none", slippage_percent=Decimal(0)), sizing=unit)
        if why_not(structs.replace(shared, session=_without_limits(shared.session)), strategy) is not None:
            return
        self._screen = screen = Screen(shared, candles, calendar=calendar)
        self._count, self._room = screen.trades(strategy)
        self._closed = screen.closed(self._room, self._count)
        entry_price, exit_price, *_ = screen.amounts(self._room, self._count)
        worst, best = np.empty(self._count), np.empty(self._count)
        screen.measure_excursions(self._room, self._count, entry_price, exit_price, worst, best)
        self._worst, self._entry_price = worst, entry_price
        decided = np.maximum(self._room.entry[: self._count] - (1 - screen.at_close), 0)
        self._decided = in_ticks(candles.close[decided], spec.instrument.tick_size)
        day = (candles.opened_at[: screen.last] + _IST_SECONDS) // _DAY_SECONDS  # the engine's own days
        self._day = np.cumsum(np.diff(day, prepend=day[0]) > 0).astype(np.int64)

    def book(self, users: Sequence[FleetUser], result: FleetResult) -> None:
        if self._screen is None:
            return
        books = _Books(self._count, int(self._day[-1]) + 1)
        for number, user in enumerate(users):
            if self._books(user, books):
                result.by_engine[number] = False
                result.trades[number] = self._closed
                result.gross[number], result.fees[number], result.net[number] = books.totals[:3]
                self._equity(user, books, result.equity[number])

    def _books(self, user: FleetUser, books: _Books) -> bool:
        """False when the user's trades may differ from the shared ones."""
        spec, session = self._spec, user.session
        own = _with(spec, session)
        sizing, limits, protection = own.subscription.sizing, session.risk, own.subscription.protection
        probe = structs.replace(own, session=_without_limits(_with(spec, session, sizing=_UNIT).session))
        goes_alone = own.subscription.sizes_by_range or protection.exit_mode is not ExitMode.SIGNAL_ONLY
        if goes_alone or self._count != self._closed or why_not(probe, self._strategy) is not None or limits.max_open_positions == 0:
            return False
        tick, lot = spec.instrument.tick_size, spec.instrument.lot_size
        places = decimals(lot)
        money = tick.scaleb(-places)
        fixed, budget = 0, 0
        if sizing.method is SizingMethod.FIXED:
            fixed = in_units(round_down(sizing.quantity or Decimal(0), lot), places)
        else:
            budget = int(session.capital * sizing.leverage * min(Decimal(1), sizing.risk_per_trade) / tick * 10**places)
        numerator, divisor = (money * fee_schedule(session.fees).commission / CENTS).as_integer_ratio()
        unit = min(Decimal(1).scaleb(-decimals(money)), CENTS)
        largest = max(fixed, budget) * int(max(self._room.entry_ticks.max(), self._room.exit_ticks.max(), 1)) * max(numerator, 1)
        if fixed + budget <= 0 or 2 * largest + divisor > _LARGEST:
            return False
        room, tables = self._room, (books.net, books.entry_fees, books.quantity, books.closed, books.open_worst, books.orders, books.totals)
        booked = compiled(kernels.book_user)(
            *(room.entry, room.leave, room.side, self._count, room.entry_ticks, room.exit_ticks, self._decided, self._worst),
            *(fixed, budget, in_units(lot, places), numerator, divisor, int(money / unit), int(CENTS / unit)),
            *(float(10 ** decimals(unit)), float(10**places), float(tick), self._day),
            *tables,
        )
        used = float(-(books.closed + books.open_worst).min())
        binds = (
            (limits.max_daily_loss is not None and used >= float(limits.max_daily_loss) * _MARGIN)
            or (limits.max_notional is not None and books.totals[3] >= float(limits.max_notional) * _MARGIN)
            or books.orders.max() >= limits.max_orders_per_day
            or (protection.max_trades_per_day is not None and books.orders.max() >= protection.max_trades_per_day)
            or spec.instrument.min_notional > 0
        )
        return bool(booked) and not binds

    def _equity(self, user: FleetUser, books: _Books, equity: NDArray[np.float64]) -> None:
        screen = self._screen
        if screen is not None:
            screen.mark(
                self._room, self._count, self._entry_price, books.entry_fees, books.net, books.quantity, float(user.session.capital), equity
            )


class _Books:
    """Room for one user's columns, used again for the next."""

    def __init__(self, trades: int, days: int) -> None:
        self.net, self.entry_fees, self.quantity = np.zeros(trades), np.zeros(trades), np.zeros(trades)
        self.closed, self.open_worst, self.orders = np.zeros(days), np.zeros(days), np.zeros(days, dtype=np.int64)
        self.totals = np.zeros(4)


def _by_engine(
    spec: BacktestSpec,
    users: Sequence[tuple[int, FleetUser]],
    candles: CandleArray,
    strategy: Strategy,
    calendar: ExchangeCalendar | None,
    options: OptionMarket | None,
    result: FleetResult,
) -> None:
    first, last = traded_rows(spec, candles)
    ends = day_ends(candles, first, last)
    prices: PriceSource = options or OwnPrices(candles)
    contexts = Contexts(candles, calendar, options)
    ranged = any(user.session.subscriptions[0].sizes_by_range for _, user in users)
    source = SharedSignals(signal_source(strategy, candles, contexts, spec.subscription, spec.instrument, ranged=ranged))
    lanes: list[tuple[int, BacktestSpec, ExactLane]] = []
    for number, user in users:
        own = structs.replace(_with(spec, user.session), user_id=user.user_id)
        lane = ExactLane(own, candles, source, prices, TradeBook(candles, prices, ends))
        lane.begin(first)
        lanes.append((number, own, lane))
    for start, stop, codes in stretches(source, last):
        for _, _, lane in lanes:
            lane.follow(codes, max(first, start), start, stop)
    if source.failure is not None:
        raise InvalidConfig("strategy", spec.subscription.strategy, f"failed at {source.failure}")
    for number, own, lane in lanes:
        if spec.close_at_end:
            lane.end(last - 1)
        trades = lane.book.table()
        result.trades[number] = len(trades)
        result.gross[number], result.fees[number], result.net[number] = trades.gross.sum(), trades.fees.sum(), trades.net.sum()
        result.equity[number] = equity_at(own, trades, ends, lane.book.marks(last))


_PERSONAL = ("Every user has capital, sizes, limits and fees of their own where they name any; of the rest, what is said here.",)
_UNIT = Sizing(method=SizingMethod.FIXED, quantity=Decimal(1))


def _with(spec: BacktestSpec, session: SessionConfig, *, sizing: Sizing | None = None) -> BacktestSpec:
    if sizing is not None:
        session = structs.replace(session, subscriptions=(structs.replace(session.subscriptions[0], sizing=sizing),))
    return structs.replace(spec, session=session)


def _without_limits(session: SessionConfig) -> SessionConfig:
    """What `why_not` is asked about: the limits are looked at afterwards, against what was used of them."""
    subscription = session.subscriptions[0]
    free = structs.replace(subscription.protection, max_trades_per_day=None)
    risk = structs.replace(session.risk, max_daily_loss=None, max_notional=None)
    return structs.replace(session, risk=risk, subscriptions=(structs.replace(subscription, protection=free),))
