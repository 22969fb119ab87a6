"""`run_backtest`: the door to both lanes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from runtime.backtest.assumptions import assumptions
from runtime.backtest.book import TradeBook
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.contexts import Contexts
from runtime.backtest.days import curve_of, day_ends, equity_at, traded_rows
from runtime.backtest.exact import ExactLane, OnFill
from runtime.backtest.inside import Inside
from runtime.backtest.options import OptionMarket
from runtime.backtest.prices import OwnPrices, PriceSource
from runtime.backtest.result import BacktestResult, BacktestSpec, EquityCurve, Lane, TradeTable
from runtime.backtest.screen_rules import why_not
from runtime.backtest.screening import Screen
from runtime.backtest.signals import Progress, signal_source, stretches
from runtime.backtest.trade_columns import TradeColumns
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidConfig
from runtime.kernel_strategy import KernelStrategy
from runtime.market import Segment
from runtime.metrics import CALENDAR_DAYS, TRADING_DAYS, Metrics, measure
from runtime.strategy import Strategy


def run_backtest(
    spec: BacktestSpec,
    candles: CandleArray,
    strategy: Strategy,
    *,
    calendar: ExchangeCalendar | None = None,
    options: OptionMarket | None = None,
    finer: CandleArray | None = None,
    quality: Sequence[str] = (),
    progress: Progress | None = None,
    skip: bool = True,
    on_fill: OnFill | None = None,
    kept: TradeColumns | None = None,
) -> BacktestResult:
    """Run one strategy over candles.

    Args:
        spec: what to run, for whom, and how orders are filled.
        candles: of `spec.instrument`, in the subscription's timeframe; those before `spec.start` warm the strategy up.
        strategy: a fresh instance with the subscription's parameters, such as `strategies.create` makes.
        calendar: the exchange's sessions; None is a market that never closes.
        options: on the index that the candles are of; needed by strategies that trade them.
        finer: shorter candles of the same instrument: where they make up a candle, they tell in which order its prices came.
        quality: what was found wrong with the candles, passed on into the result.
        progress: told how far the run has come.
        skip: pass over candles that can wake nothing. It changes the time taken and nothing else.
        on_fill: told of every fill, with its order.
        kept: where the exact lane puts trades as they close, and the result has them from; by default in memory.

    Raises:
        InvalidConfig: the candles are of another instrument or timeframe, or none is within the dates; `finer` are not, or
            serve nothing: options are priced by candles of the index, and the screening lane looks into none.
    """
    if finer is not None and (spec.lane is Lane.SCREENING or options is not None):
        raise InvalidConfig("finer candles", str(finer.timeframe), "serve the exact lane of what is traded itself only")
    if spec.lane is Lane.SCREENING:
        return _screened(spec, candles, strategy, calendar, quality)
    inside = None if finer is None else Inside(candles, finer)
    return _Exact(spec, candles, calendar, options, inside, kept).run(strategy, quality, progress, skip=skip, on_fill=on_fill)


class _Exact:
    """One run of the exact lane."""

    def __init__(
        self,
        spec: BacktestSpec,
        candles: CandleArray,
        calendar: ExchangeCalendar | None,
        options: OptionMarket | None,
        inside: Inside | None,
        kept: TradeColumns | None,
    ) -> None:
        self._inside = inside
        self._spec, self._candles, self._calendar, self._options = spec, candles, calendar, options
        self._first, self._last = traded_rows(spec, candles)
        self._prices: PriceSource = options or OwnPrices(candles)
        self._ends = day_ends(candles, self._first, self._last)
        self._book = TradeBook(candles, self._prices, self._ends, kept)

    def run(
        self, strategy: Strategy, quality: Sequence[str], progress: Progress | None, *, skip: bool, on_fill: OnFill | None
    ) -> BacktestResult:
        spec, first, last = self._spec, self._first, self._last
        contexts = Contexts(self._candles, self._calendar, self._options)
        ranged = spec.subscription.sizes_by_range
        source = signal_source(strategy, self._candles, contexts, spec.subscription, spec.instrument, ranged=ranged)
        lane = ExactLane(spec, self._candles, source, self._prices, self._book, skip=skip, on_fill=on_fill, inside=self._inside)
        lane.begin(first)
        signals = 0
        for start, stop, codes in stretches(source, last, progress):
            signals += int(np.count_nonzero(codes[max(first - start, 0) :]))
            lane.follow(codes, max(start, first), start, stop)
        if source.failure is not None:
            raise InvalidConfig("strategy", spec.subscription.strategy, f"failed at {source.failure}")
        if spec.close_at_end:
            lane.end(last - 1)
        return self._result(lane, signals, quality)

    def _result(self, lane: ExactLane, signals: int, quality: Sequence[str]) -> BacktestResult:
        spec, candles, options, bars = self._spec, self._candles, self._options, self._last - self._first
        trades = self._book.table()
        curve = curve_of(candles, self._ends, equity_at(spec, trades, self._ends, self._book.marks(self._last)))
        synthetic, inside = self._prices.synthetic, self._inside
        notes = () if options is None else options.notes()
        notes += () if inside is None else inside.notes()
        return BacktestResult(
            spec=spec,
            trades=trades,
            equity=curve,
            metrics=metrics_of(spec, trades, curve, bars),
            assumptions=assumptions(spec, synthetic=synthetic) + notes,
            synthetic=synthetic,
            quality=tuple(quality),
            fingerprint=fingerprint(
                spec,
                candles,
                options=None if options is None else options.fingerprint(),
                **({} if inside is None else {"inside": inside.fingerprint()}),
            ),
            bars=bars,
            bars_woken=lane.woken,
            orders=lane.orders,
            signals=signals,
            skipped=dict(sorted(lane.skipped.items())),
        )


def _screened(
    spec: BacktestSpec, candles: CandleArray, strategy: Strategy, calendar: ExchangeCalendar | None, quality: Sequence[str]
) -> BacktestResult:
    traded_rows(spec, candles)
    refusal = why_not(spec, strategy)
    if refusal is not None or not isinstance(strategy, KernelStrategy):
        raise refusal or InvalidConfig("strategy", spec.subscription.strategy, "is no KernelStrategy")
    screen = Screen(spec, candles, calendar=calendar)
    trades, curve = screen.table(strategy)
    bars = screen.last - screen.first
    return BacktestResult(
        spec=spec,
        trades=trades,
        equity=curve,
        metrics=metrics_of(spec, trades, curve, bars),
        assumptions=assumptions(spec, synthetic=False),
        synthetic=False,
        quality=tuple(quality),
        fingerprint=fingerprint(spec, candles),
        bars=bars,
        bars_woken=0,
        orders=2 * len(trades),
        signals=0,
        skipped={},
    )


def metrics_of(spec: BacktestSpec, trades: TradeTable, curve: EquityCurve, bars: int) -> Metrics:
    return measure(
        net=trades.net,
        fees=trades.fees,
        gross=trades.gross,
        bars_held=trades.bars_held,
        seconds_held=(trades.exit_time - trades.entry_time).astype(np.int64),
        equity=curve.equity,
        days=curve.day,
        bars=bars,
        capital=float(spec.session.capital),
        days_per_year=CALENDAR_DAYS if spec.instrument.segment is Segment.CRYPTO else TRADING_DAYS,
    )


def fingerprint(spec: BacktestSpec, candles: CandleArray, **more: object) -> str:
    """32 hexadecimal digits of a hash over configuration, seed and every candle."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(_ENCODER.encode(spec))
    digest.update(_ENCODER.encode((candles.instrument, candles.timeframe, str(candles.zone), sorted(more.items()))))
    for column in (candles.opened_at, candles.open, candles.high, candles.low, candles.close, candles.volume):
        digest.update(b"-" if column is None else column.tobytes())
    return digest.hexdigest()


_ENCODER = msgspec.json.Encoder(order="deterministic")
