"""Many runs of one strategy with other parameters: what a worker does, and who hands out the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from actors.backtest_setup import BacktestRequest, backtest_spec
from actors.candle_source import exchange_calendar
from actors.option_market import OptionData, option_market
from actors.strategy_source import create_strategy, file_of, placed
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestSpec, Lane
from runtime.backtest.run import run_backtest
from runtime.backtest.screen_rules import why_not
from runtime.backtest.screening import Screen, SweepTable
from runtime.errors import InvalidConfig
from runtime.kernel_strategy import KernelStrategy

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Answer = TypeVar("Answer")


class TaskPool(Protocol):
    """Runs a function of (what all tasks share, one task) for many tasks, anywhere."""

    workers: int

    def map(self, function: Callable[[Shared, Task], Answer], shared: Shared, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        """(number of the task, answer), in the order in which they are done. What a task raises is raised here."""
        ...


class InProcess:
    """All of it here, one after the other."""

    workers = 1

    def map(self, function: Callable[[Shared, Task], Answer], shared: Shared, tasks: Sequence[Task]) -> Iterator[tuple[int, Answer]]:
        for number, task in enumerate(tasks):
            yield number, function(shared, task)


class StudyData(msgspec.Struct, frozen=True, kw_only=True):
    """What all trials of a study share, on whatever machine they run; `strategy_file` is the content of a strategy's own file."""

    candles: CandleArray
    options: OptionData | None = None
    strategy_file: bytes | None = None

    def placed(self, request: BacktestRequest) -> BacktestRequest:
        """`request` as it can be run on this machine."""
        return msgspec.structs.replace(request, strategy=placed(request.strategy, self.strategy_file))


def study_data(request: BacktestRequest, candles: CandleArray, options: OptionData | None) -> StudyData:
    return StudyData(candles=candles, options=options, strategy_file=file_of(request.strategy))


class TrialTask(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters to try on the exchange dates `start` to `end`, both included; what is before them is warm-up."""

    request: BacktestRequest
    start: date
    end: date
    parameters: Sequence[Mapping[str, Any]]


class TrialFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one run; money in the instrument's currency, `sharpe` annual and None where not defined. `invalid`: why it cannot be run at all."""

    trades: int = 0
    wins: int = 0
    net: float = 0.0
    fees: float = 0.0
    sharpe: float | None = None
    max_drawdown_percent: float = 0.0
    invalid: str | None = None

    @property
    def win_rate(self) -> float | None:
        return self.wins / self.trades if self.trades else None


def run_trials(data: StudyData, task: TrialTask) -> list[TrialFigures]:
    """In the order of `task.parameters`: by the screening lane where it can do what is asked, else by the live engine."""
    candles, base = data.candles, msgspec.structs.replace(data.placed(task.request), start=task.start, end=task.end)
    figures: dict[int, TrialFigures] = {}
    screened: list[tuple[int, KernelStrategy]] = []
    screened_spec: BacktestSpec | None = None
    for number, parameters in enumerate(task.parameters):
        request = msgspec.structs.replace(base, parameters={**base.parameters, **parameters})
        try:
            strategy = create_strategy(request.strategy, request.parameters)
        except InvalidConfig as error:
            figures[number] = TrialFigures(invalid=str(error))
            continue
        spec = backtest_spec(request, candles.instrument, candles.timeframe)
        if isinstance(strategy, KernelStrategy) and why_not(spec, strategy) is None:
            screened.append((number, strategy))
            screened_spec = spec
        else:
            figures[number] = _by_the_engine(spec, data, request)
    if screened_spec is not None:
        screen = Screen(screened_spec, candles, calendar=exchange_calendar(candles.instrument))
        table = screen.sweep([strategy for _, strategy in screened], threads=1)
        figures |= {number: _row(table, at) for at, (number, _) in enumerate(screened)}
    return [figures[number] for number in range(len(task.parameters))]


def lane_of(request: BacktestRequest, candles: CandleArray) -> Lane:
    """The lane that trials of this request take."""
    strategy = create_strategy(request.strategy, request.parameters)
    spec = backtest_spec(request, candles.instrument, candles.timeframe)
    return Lane.SCREENING if isinstance(strategy, KernelStrategy) and why_not(spec, strategy) is None else Lane.EXACT


Objective = Literal["sharpe", "net", "return_over_drawdown"]


def score(figures: TrialFigures, objective: Objective) -> float:
    """The higher the better; what cannot be told is the worst."""
    if figures.invalid is not None or not figures.trades:
        return float("-inf")
    match objective:
        case "sharpe":
            return float("-inf") if figures.sharpe is None else figures.sharpe
        case "net":
            return figures.net
        case "return_over_drawdown":
            return figures.net / max(-figures.max_drawdown_percent, 1e-9)


def _by_the_engine(spec: BacktestSpec, data: StudyData, request: BacktestRequest) -> TrialFigures:
    candles = data.candles
    exact = msgspec.structs.replace(spec, lane=Lane.EXACT)
    strategy = create_strategy(request.strategy, request.parameters)
    options = option_market(request, spec.instrument, candles, data.options)
    metrics = run_backtest(exact, candles, strategy, calendar=exchange_calendar(candles.instrument), options=options).metrics
    return TrialFigures(
        trades=metrics.trades,
        wins=metrics.wins,
        net=metrics.net_profit,
        fees=metrics.fees,
        sharpe=metrics.sharpe,
        max_drawdown_percent=metrics.max_drawdown_percent,
    )


def _row(table: SweepTable, at: int) -> TrialFigures:
    sharpe = float(table.sharpe[at])
    return TrialFigures(
        trades=int(table.trades[at]),
        wins=int(table.wins[at]),
        net=float(table.net[at]),
        fees=float(table.fees[at]),
        sharpe=sharpe if sharpe == sharpe else None,  # noqa: PLR0124 (NaN is not itself)
        max_drawdown_percent=float(table.max_drawdown_percent[at]),
    )
