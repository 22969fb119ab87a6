"""Walk-forward analysis: choose parameters on one stretch, trade them on the next, move on; only what was traded counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.backtest import Backtest
from actors.backtest_setup import BacktestRequest, backtest_spec
from actors.candle_source import exchange_calendar
from actors.option_market import option_market
from actors.strategy_source import create_strategy
from actors.study_file import StudyFile
from actors.sweep import Days, Sweep, SweepRequest, Told, Trial, days_of, ranked, study_fingerprint
from actors.trials import StudyData, TaskPool
from adapters.candle_files import CandleFile
from runtime.backtest.result import BacktestResult, EquityCurve, TradeTable
from runtime.backtest.run import run_backtest
from runtime.errors import InvalidInput
from runtime.metrics import measure


class WalkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`train` and `test`: lengths in trading days. `anchored`: training always begins with the first day. The sweep's own split is not used."""

    sweep: SweepRequest
    train: int
    test: int
    anchored: bool = False


class Window(msgspec.Struct, frozen=True, kw_only=True):
    train: Days
    test: Days


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """One window: the trial chosen on its training days (None: none could be run), and its result on its test days."""

    window: Window
    chosen: Trial | None
    result: BacktestResult | None


class WalkResult(msgspec.Struct, frozen=True, kw_only=True):
    """`run`: all test stretches one after the other, as one result."""

    request: WalkRequest
    fingerprint: str
    steps: list[Walked]
    run: Backtest

    @property
    def efficiency(self) -> float | None:
        """Net profit a day on the test days over that on the training days (Pardo 2008); None where training lost."""
        walked = [step for step in self.steps if step.chosen is not None and step.result is not None]
        trained = sum(step.chosen.figures.net for step in walked if step.chosen) / max(
            1, sum(len(step.window.train.dates) for step in walked)
        )
        tested = sum(step.result.metrics.net_profit for step in walked if step.result) / max(
            1, sum(len(step.window.test.dates) for step in walked)
        )
        return tested / trained if trained > 0 else None

    def table(self) -> list[dict[str, Any]]:
        return [_row(step) for step in self.steps]

    def summary(self) -> dict[str, Any]:
        run = self.run.summary()
        head = {name: run[name] for name in ("strategy", "instrument", "timeframe", "synthetic", "bars", "metrics", "assumptions")}
        sweep = self.request.sweep
        return head | {
            "parameters": {name: f"{values[0]}…{values[-1]}" for name, values in sweep.ranges.items()},
            "fingerprint": self.fingerprint,
            "objective": sweep.objective,
            "method": sweep.method,
            "seed": sweep.seed,
            "train": self.request.train,
            "test": self.request.test,
            "anchored": self.request.anchored,
            "efficiency": self.efficiency,
            "table": self.table(),
        }


def windows(request: WalkRequest, days: Days) -> list[Window]:
    """Raises `InvalidInput` where not even one fits; the last test stretch may be shorter than the others."""
    if request.train < 1 or request.test < 1:
        raise InvalidInput("--train/--test", (request.train, request.test), "are numbers of trading days, one at least")
    dates = days.dates
    found = [
        Window(train=Days(dates=dates[0 if request.anchored else at - request.train : at]), test=Days(dates=dates[at : at + request.test]))
        for at in range(request.train, len(dates), request.test)
    ]
    if not found:
        raise InvalidInput("--train", request.train, f"leaves nothing to test on: there are {len(dates)} trading days")
    return found


def run_walk(
    request: WalkRequest,
    file: CandleFile,
    data: StudyData,
    pool: TaskPool,
    study: Callable[[str], StudyFile],
    *,
    told: Told | None = None,
) -> WalkResult:
    """`data` is of the candles of `file`; `study` opens the study of a fingerprint.

    Raises:
        InvalidInput: no window fits, or not one trial could be run in any.
    """
    candles, sweep = data.candles, request.sweep
    found = windows(request, days_of(candles, sweep.backtest.start, sweep.backtest.end))
    fingerprint = study_fingerprint(sweep, data, *(days for window in found for days in (window.train, window.test)))
    opened = study(fingerprint)
    try:
        trials = Sweep(sweep, data, pool, opened, told).run([window.train for window in found])
    finally:
        opened.close()
    best = [next(iter(ranked(of_window, sweep.objective)), None) for of_window in trials]
    tested = [(number, window, trial) for number, (window, trial) in enumerate(zip(found, best, strict=True)) if trial is not None]
    if not tested:
        raise InvalidInput("--vary", ", ".join(sweep.ranges), "not one trial could be run in any window")
    tasks = [_chosen(sweep.backtest, window, trial) for _, window, trial in tested]
    results = {tested[at][0]: result for at, result in pool.map(run_test, data, tasks)}
    steps = [Walked(window=window, chosen=best[number], result=results.get(number)) for number, window in enumerate(found)]
    joined = join([results[number] for number in sorted(results)], fingerprint)
    return WalkResult(request=request, fingerprint=fingerprint, steps=steps, run=Backtest(joined, candles, file.report))


def run_test(data: StudyData, request: BacktestRequest) -> BacktestResult:
    """What a worker does with a window's test days: the live engine, warmed up by all that is before them."""
    candles, request = data.candles, data.placed(request)
    spec = backtest_spec(request, candles.instrument, candles.timeframe)
    strategy = create_strategy(request.strategy, request.parameters)
    options = option_market(request, spec.instrument, candles, data.options)
    return run_backtest(spec, candles, strategy, calendar=exchange_calendar(candles.instrument), options=options)


def join(results: Sequence[BacktestResult], fingerprint: str) -> BacktestResult:
    """Stretches one after the other as one result. Every stretch begins flat and with the same capital; profits are added up."""
    first, last = results[0], results[-1]
    spec = msgspec.structs.replace(first.spec, end=last.spec.end)
    capital = float(spec.session.capital)
    profits = np.concatenate([[0.0], np.cumsum([float(result.equity.equity[-1]) - capital for result in results])])
    equity = EquityCurve(
        day=np.concatenate([result.equity.day for result in results]),
        time=np.concatenate([result.equity.time for result in results]),
        bar=np.concatenate([result.equity.bar for result in results]),
        equity=np.concatenate([result.equity.equity + profit for result, profit in zip(results, profits[:-1], strict=True)]),
    )
    trades = _join_trades([result.trades for result in results])
    bars = sum(result.bars for result in results)
    metrics = measure(
        net=trades.net,
        fees=trades.fees,
        gross=trades.gross,
        bars_held=trades.bars_held,
        seconds_held=(trades.exit_time - trades.entry_time).astype(np.int64),
        equity=equity.equity,
        days=equity.day,
        bars=bars,
        capital=capital,
        days_per_year=first.metrics.days_per_year,
    )
    skipped: dict[str, int] = {}
    for result in results:
        skipped |= {reason: skipped.get(reason, 0) + count for reason, count in result.skipped.items()}
    return msgspec.structs.replace(
        first,
        spec=spec,
        trades=trades,
        equity=equity,
        metrics=metrics,
        assumptions=(
            "Every test stretch begins without a position and with the starting capital; their profits are added up.",
            *first.assumptions,
        ),
        synthetic=any(result.synthetic for result in results),
        fingerprint=fingerprint,
        bars=bars,
        bars_woken=sum(result.bars_woken for result in results),
        orders=sum(result.orders for result in results),
        signals=sum(result.signals for result in results),
        skipped=dict(sorted(skipped.items())),
    )


def _join_trades(tables: Sequence[TradeTable]) -> TradeTable:
    plain = [
        name
        for name in TradeTable.__struct_fields__
        if name not in {"rule", "exit_reason", "instrument", "rules", "exit_reasons", "instruments"}
    ]
    columns: dict[str, Any] = {name: np.concatenate([getattr(table, name) for table in tables]) for name in plain}
    for codes, names in (("rule", "rules"), ("exit_reason", "exit_reasons"), ("instrument", "instruments")):
        columns |= _join_names(tables, codes, names)
    return TradeTable(**columns)


def _join_names(tables: Sequence[TradeTable], codes: str, names: str) -> dict[str, Any]:
    """One list of names for all, and each table's codes as places in it."""
    known = tuple(dict.fromkeys(name for table in tables for name in getattr(table, names)))
    moved: list[NDArray[Any]] = []
    for table in tables:
        places = np.array([known.index(name) for name in getattr(table, names)] or [0])
        column: NDArray[Any] = getattr(table, codes)
        moved.append(places[column].astype(column.dtype))
    return {codes: np.concatenate(moved), names: known}


def _chosen(base: BacktestRequest, window: Window, trial: Trial) -> BacktestRequest:
    parameters = {**base.parameters, **trial.parameters}
    return msgspec.structs.replace(base, parameters=parameters, start=window.test.start, end=window.test.end)


def _row(step: Walked) -> dict[str, Any]:
    figures = None if step.chosen is None else step.chosen.figures
    metrics = None if step.result is None else step.result.metrics
    return {
        "train_from": str(step.window.train.start),
        "train_to": str(step.window.train.end),
        "test_from": str(step.window.test.start),
        "test_to": str(step.window.test.end),
        **({} if step.chosen is None else step.chosen.parameters),
        "train_net": None if figures is None else figures.net,
        "train_sharpe": None if figures is None else figures.sharpe,
        "test_net": None if metrics is None else metrics.net_profit,
        "test_sharpe": None if metrics is None else metrics.sharpe,
        "test_trades": None if metrics is None else metrics.trades,
        "test_drawdown": None if metrics is None else metrics.max_drawdown_percent,
    }
