"""One strategy with many parameters: who is best on the first part of the candles, and what is left of it on the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import msgspec
import numpy as np

from actors.backtest_setup import BacktestRequest
from actors.search import GENERATION, Index, Method, Ranges, grid, grid_size, parameters_of, propose, sample
from actors.study_file import StudyFile, TrialKey
from actors.trials import Objective, StudyData, TaskPool, TrialFigures, TrialTask, lane_of, run_trials, score
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import Lane
from runtime.errors import InvalidInput

Told: TypeAlias = Callable[[int, int], None]
"""Progress: (runs done, runs in all)."""

_RUNGS = (0.25, 0.5, 1.0)
"""Successive halving (Jamieson and Talwalkar 2016): of the runs over each share of the days, the better half go on to the next."""
_SURVIVORS_MIN = 10
_TASKS_PER_WORKER = 8
_TASK_MAX = 64


class SweepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`ranges`: the parameters that vary; `trials`: how many, of `random` and `tpe`. `out_of_sample`: the share of the days, the last
    ones, that no choice is made on. `prune`: drop poor trials early; None: where the live engine has to run them.
    """

    backtest: BacktestRequest
    ranges: Ranges
    method: Method = "grid"
    trials: int = 200
    objective: Objective = "sharpe"
    out_of_sample: float = 0.3
    prune: bool | None = None
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.ranges:
            raise InvalidInput("--vary", None, "name at least one parameter and its values, such as fast_period=5:50:5")
        both = self.ranges.keys() & self.backtest.parameters.keys()
        if both:
            raise InvalidInput("--vary", ", ".join(sorted(both)), "is set and varied at once")
        if not 0.0 <= self.out_of_sample < 1.0:
            raise InvalidInput("--out-of-sample", self.out_of_sample, "is a share of the days from 0 to below 1")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """`share` of the in-sample days that it ran over: below 1 it was pruned there, and its figures are of that part."""

    number: int
    parameters: dict[str, Any]
    figures: TrialFigures
    share: float

    @property
    def status(self) -> str:
        return "invalid" if self.figures.invalid is not None else "complete" if self.share == 1.0 else "pruned"


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """First and last exchange date of a stretch, and all dates with candles in it."""

    dates: tuple[date, ...]

    @property
    def start(self) -> date:
        return self.dates[0]

    @property
    def end(self) -> date:
        return self.dates[-1]

    def share(self, share: float) -> Days:
        """The first part of them, one day at least."""
        return Days(dates=self.dates[: max(1, round(len(self.dates) * share))])


def days_of(candles: CandleArray, start: date | None, end: date | None) -> Days:
    """Raises `InvalidInput` where no candle lies between."""
    days: list[date] = np.unique(candles.day).astype("datetime64[D]").tolist()
    inside = tuple(day for day in days if (start is None or day >= start) and (end is None or day <= end))
    if not inside:
        raise InvalidInput("--from/--to", (start, end), "no candle lies between these dates")
    return Days(dates=inside)


def split(request: SweepRequest, days: Days) -> tuple[Days, Days | None]:
    """In-sample, and out-of-sample unless nothing is held back."""
    count = round(len(days.dates) * (1.0 - request.out_of_sample))
    if request.out_of_sample and not 0 < count < len(days.dates):
        raise InvalidInput("--out-of-sample", request.out_of_sample, f"leaves nothing on one side of {len(days.dates)} days")
    held_back = Days(dates=days.dates[count:]) if count < len(days.dates) else None
    return Days(dates=days.dates[:count]), held_back


class Sweep:
    """Runs the trials of one or several windows through a pool, and keeps every result in the study at once.

    Which trials there are and which are pruned follows from the request and the results alone, never from who was done
    first: a sweep that was killed goes on where it was and ends with the same table.
    """

    def __init__(self, request: SweepRequest, data: StudyData, pool: TaskPool, study: StudyFile, told: Told | None = None) -> None:
        self._request, self._data, self._pool, self._study = request, data, pool, study
        self.lane = lane_of(request.backtest, data.candles)
        prunes = request.prune if request.prune is not None else self.lane is Lane.EXACT
        self._rungs = _RUNGS if prunes else (1.0,)
        self._told = told
        self._done = 0
        self._total = 0

    def run(self, windows: Sequence[Days]) -> list[list[Trial]]:
        """The trials of each window, in order of their numbers."""
        count = (
            min(grid_size(self._request.ranges), self._request.trials)
            if self._request.method != "grid"
            else grid_size(self._request.ranges)
        )
        self._total = len(windows) * self._runs_of(count)
        return [self._window(number, days, count) for number, days in enumerate(windows)]

    def _window(self, window: int, days: Days, count: int) -> list[Trial]:
        trials: list[Trial] = []
        for generation in self._generations(trials, count):
            trials += self._halve(window, days, len(trials), generation)
        return trials

    def _generations(self, trials: Sequence[Trial], count: int) -> Iterator[Sequence[Index]]:
        request = self._request
        match request.method:
            case "grid":
                yield grid(request.ranges)
            case "random":
                yield sample(request.ranges, count, request.seed)
            case "tpe":
                tried: list[Index] = []
                while len(tried) < count:
                    scores = [score(trial.figures, request.objective) for trial in trials]
                    proposed = propose(
                        request.ranges, list(zip(tried, scores, strict=True)), request.seed, min(GENERATION, count - len(tried))
                    )
                    if not proposed:
                        return
                    tried += proposed
                    yield proposed

    def _halve(self, window: int, days: Days, first: int, indexes: Sequence[Index]) -> list[Trial]:
        """Run them over longer and longer parts of the days; of each part, only the better half go on."""
        ranges, objective = self._request.ranges, self._request.objective
        parameters = {first + at: parameters_of(ranges, index) for at, index in enumerate(indexes)}
        trials: dict[int, Trial] = {}
        running = list(parameters)
        for rung, share in enumerate(self._rungs):
            figures = self._evaluate(window, rung, days.share(share), {number: parameters[number] for number in running})
            trials |= {
                number: Trial(number=number, parameters=parameters[number], figures=found, share=share) for number, found in figures.items()
            }
            valid = [number for number in running if figures[number].invalid is None]
            valid.sort(key=lambda number: (-score(figures[number], objective), number))
            running = sorted(valid[: _survivors(len(valid))])
        return [trials[number] for number in parameters]

    def _evaluate(self, window: int, rung: int, days: Days, parameters: Mapping[int, dict[str, Any]]) -> dict[int, TrialFigures]:
        keys = {number: TrialKey(window, rung, number) for number in parameters}
        missing = [number for number in parameters if keys[number] not in self._study.found]
        size = max(1, min(_TASK_MAX, -(-len(missing) // (_TASKS_PER_WORKER * self._pool.workers))))
        chunks = [missing[at : at + size] for at in range(0, len(missing), size)]
        tasks = [
            TrialTask(request=self._request.backtest, start=days.start, end=days.end, parameters=[parameters[number] for number in chunk])
            for chunk in chunks
        ]
        self._tell(len(parameters) - len(missing))
        for task, answers in self._pool.map(run_trials, self._data, tasks):
            self._study.add({keys[number]: found for number, found in zip(chunks[task], answers, strict=True)})
            self._tell(len(answers))
        return {number: self._study.found[key] for number, key in keys.items()}

    def _runs_of(self, count: int) -> int:
        """Runs that so many trials take, if all are possible and in one generation: near enough for a time that is left."""
        runs = 0
        for _ in self._rungs:
            runs += count
            count = min(count, _survivors(count))
        return runs

    def _tell(self, runs: int) -> None:
        self._done += runs
        if self._told is not None:
            self._told(min(self._done, self._total), self._total)


def _survivors(count: int) -> int:
    """How many of a rung's trials go on to the next."""
    return max(_SURVIVORS_MIN, -(-count // 2))


def study_fingerprint(request: SweepRequest, data: StudyData, *windows: Days) -> str:
    """Of everything that decides the trials and their figures."""
    candles = data.candles
    digest = hashlib.blake2b(digest_size=16)
    digest.update(msgspec.json.encode(request, order="deterministic"))
    digest.update(msgspec.json.encode([(days.start, days.end, len(days.dates)) for days in windows]))
    for column in (candles.opened_at, candles.open, candles.high, candles.low, candles.close):
        digest.update(column.tobytes())
    digest.update(data.strategy_file or b"")
    if data.options is not None:
        digest.update(data.options.volatility.tobytes())
        digest.update(msgspec.msgpack.encode(data.options.chains))
    return digest.hexdigest()


def ranked(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Complete ones, the best first; equal ones in order of their numbers."""
    complete = [trial for trial in trials if trial.status == "complete"]
    return sorted(complete, key=lambda trial: (-score(trial.figures, objective), trial.number))
