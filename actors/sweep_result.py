"""What a sweep has found: the best in-sample, the same out of sample, and how much of it is luck."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import msgspec
import numpy as np

from actors.backtest import Backtest, run_on
from actors.study_file import StudyFile, TrialKey
from actors.sweep import Days, Sweep, SweepRequest, Told, Trial, days_of, ranked, split, study_fingerprint
from actors.trials import Objective, StudyData, TaskPool, TrialFigures, TrialTask, run_trials, score
from adapters.candle_files import CandleFile
from runtime.backtest.result import Lane
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput
from runtime.metrics import daily_returns
from runtime.overfitting import CONFIDENT, Deflated, deflated_sharpe

TOP = 10
_OUT_OF_SAMPLE = 1
"""Window number of the runs over the days that were held back."""


class SweepResult(msgspec.Struct, frozen=True, kw_only=True):
    """`trials` in order of their numbers; `best` the complete ones, best first. `held_back`: figures of the top on the days that no
    choice was made on, by trial number. `deflated`: of the best one's in-sample returns. `run`: the best one over all days.
    """

    request: SweepRequest
    fingerprint: str
    lane: Lane
    trials: list[Trial]
    best: list[Trial]
    in_sample: Days
    out_of_sample: Days | None
    held_back: dict[int, TrialFigures]
    deflated: Deflated | None
    run: Backtest

    def table(self) -> list[dict[str, Any]]:
        """One row per trial, the best first, then the pruned and the invalid ones by number."""
        rest = [trial for trial in self.trials if trial.status != "complete"]
        return [self.row(trial) for trial in [*self.best, *rest]]

    def row(self, trial: Trial) -> dict[str, Any]:
        value = score(trial.figures, self.request.objective)
        held_back = self.held_back.get(trial.number)
        return {
            "number": trial.number,
            "status": trial.status,
            **trial.parameters,
            "score": value if np.isfinite(value) else None,
            "sharpe": trial.figures.sharpe,
            "net": trial.figures.net,
            "max_drawdown_percent": trial.figures.max_drawdown_percent,
            "trades": trial.figures.trades,
            "win_rate": trial.figures.win_rate,
            "out_of_sample_sharpe": None if held_back is None else held_back.sharpe,
            "out_of_sample_net": None if held_back is None else held_back.net,
        }

    def verdict(self) -> str:
        """In plain words, how far the best one can be trusted."""
        best, deflated = self.best[0], self.deflated
        if best.figures.net <= 0.0:
            return f"Even the best of {len(self.best):,} trials does not make money in-sample."
        if deflated is None:
            said = "The best one cannot be judged: it has too few days, or no variation."
        elif deflated.probability >= CONFIDENT:
            said = f"Deflated Sharpe ratio {deflated.probability:.1%}: luck among {deflated.trials:,} trials hardly explains the best one."
        else:
            said = f"Deflated Sharpe ratio {deflated.probability:.1%}, below {CONFIDENT:.0%}: the best of {deflated.trials:,} worthless trials may look like this."
        held_back = self.held_back.get(best.number)
        if held_back is None:
            return f"{said} No days were held back to look at it again."
        outcome = "still makes money" if held_back.net > 0.0 else "loses money"
        return f"{said} Out of sample it {outcome}: net {held_back.net:,.0f}, after {best.figures.net:,.0f} in-sample."

    def summary(self) -> dict[str, Any]:
        deflated = self.deflated
        return {
            "strategy": self.run.result.spec.subscription.strategy,
            "parameters": {**self.run.result.spec.subscription.parameters},
            "instrument": self.run.result.spec.instrument.id,
            "timeframe": str(self.run.result.spec.subscription.timeframe),
            "fingerprint": self.fingerprint,
            "lane": str(self.lane),
            "objective": self.request.objective,
            "method": self.request.method,
            "seed": self.request.seed,
            "in_sample": _span(self.in_sample),
            "out_of_sample": None if self.out_of_sample is None else _span(self.out_of_sample),
            "trials": {status: sum(trial.status == status for trial in self.trials) for status in ("complete", "pruned", "invalid")},
            "deflated_sharpe": None if deflated is None else msgspec.to_builtins(deflated),
            "verdict": self.verdict(),
            "best": self.row(self.best[0]),
            "table": self.table(),
        }


def run_sweep(
    request: SweepRequest,
    file: CandleFile,
    calendar: ExchangeCalendar,
    data: StudyData,
    pool: TaskPool,
    study: StudyFile,
    *,
    told: Told | None = None,
) -> SweepResult:
    """Run what the study does not hold yet, and sum up. `data` is of the candles of `file`.

    Raises:
        InvalidInput: no trial could be run, or nothing is left on one side of the split.
    """
    days = days_of(data.candles, request.backtest.start, request.backtest.end)
    in_sample, held_back = split(request, days)
    sweep = Sweep(request, data, pool, study, told)
    [trials] = sweep.run([in_sample])
    best = ranked(trials, request.objective)
    if not best:
        reasons = {trial.figures.invalid for trial in trials if trial.figures.invalid}
        raise InvalidInput("--vary", ", ".join(request.ranges), f"not one trial could be run: {next(iter(reasons), 'there is none')}")

    def run(stretch: Days) -> Backtest:
        """The best of all over a stretch."""
        parameters = {**request.backtest.parameters, **best[0].parameters}
        chosen = msgspec.structs.replace(request.backtest, parameters=parameters, start=stretch.start, end=stretch.end)
        return run_on(chosen, file, calendar, data.options)

    top = [] if held_back is None else best[:TOP]
    tested = _test(request, data, held_back, top, pool, study) if held_back is not None else {}
    return SweepResult(
        request=request,
        fingerprint=study_fingerprint(request, data, in_sample),
        lane=sweep.lane,
        trials=trials,
        best=best,
        in_sample=in_sample,
        out_of_sample=held_back,
        held_back=tested,
        deflated=_deflated(run(in_sample), best),
        run=run(days),
    )


def _test(
    request: SweepRequest, data: StudyData, days: Days, top: Sequence[Trial], pool: TaskPool, study: StudyFile
) -> dict[int, TrialFigures]:
    keys = {trial.number: TrialKey(_OUT_OF_SAMPLE, 0, trial.number) for trial in top}
    missing = [trial for trial in top if keys[trial.number] not in study.found]
    tasks = [TrialTask(request=request.backtest, start=days.start, end=days.end, parameters=[trial.parameters]) for trial in missing]
    for at, [figures] in pool.map(run_trials, data, tasks):
        study.add({keys[missing[at].number]: figures})
    return {number: study.found[key] for number, key in keys.items()}


def _deflated(run: Backtest, best: Sequence[Trial]) -> Deflated | None:
    returns = daily_returns(run.result.equity.equity, float(run.result.spec.session.capital))
    annual = [trial.figures.sharpe for trial in best if trial.figures.sharpe is not None]
    return deflated_sharpe(returns, np.array(annual) / sqrt(run.result.metrics.days_per_year))


def objective_label(objective: Objective) -> str:
    return {"sharpe": "Sharpe", "net": "net profit", "return_over_drawdown": "net over drawdown"}[objective]


def _span(days: Days) -> dict[str, Any]:
    return {"from": str(days.start), "to": str(days.end), "days": len(days.dates)}
