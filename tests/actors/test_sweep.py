"""Sweeps and walk-forward analyses against single backtests, interrupted anywhere, and out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.backtest import run_on
from actors.backtest_setup import BacktestRequest
from actors.candle_source import CandleRequest, load_candles
from actors.study_file import StudyFile
from actors.study_pages import sweep_page, walk_page
from actors.sweep import Days, SweepRequest, days_of, ranked, split, study_fingerprint
from actors.sweep_result import SweepResult, run_sweep
from actors.trials import InProcess, TrialTask, run_trials, study_data
from actors.walk_forward import WalkRequest, WalkResult, run_walk, windows
from adapters.backtest_report import render
from adapters.candle_files import CandleFile
from configs.calendar import calendar_for
from runtime.backtest.result import Lane
from runtime.errors import InvalidInput
from tests.actors.test_backtest import waves
from tests.actors.test_bias import HEAD

BASE = BacktestRequest(strategy="ema_cross", quantity=Decimal(10), fees="flat:0.00002")
RANGES = {"fast_period": [2, 4, 8], "slow_period": [6, 12]}
REQUEST = SweepRequest(backtest=BASE, ranges=RANGES, out_of_sample=0.4)
EVERY = """
    def __init__(self, *, every: int = 7, offset: int = 0):
        self.every, self.offset, self.count = every, offset, 0
    def on_candle(self, candle, context):
        self.count += 1
        if (self.count + self.offset) % self.every:
            return None
        side = Side.LONG if (self.count // self.every) % 2 else Side.SHORT
        return Target(side=side, rule="every", reason="", price=candle.close)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> CandleFile:
    found, _ = load_candles(
        CandleRequest(source=str(waves(tmp_path_factory.mktemp("waves"), days=10)), zone="Asia/Kolkata"), lambda _: None
    )  # type: ignore[arg-type, return-value]
    return found


@pytest.fixture
def every(tmp_path: Path) -> BacktestRequest:
    """A strategy without a kernel, so that the live engine runs it."""
    source = tmp_path / "every.py"
    source.write_text(HEAD + EVERY, encoding="utf-8")
    return BacktestRequest(strategy=str(source), quantity=Decimal(1), fees="none")


class Interrupted(Exception):
    pass


class Broken(InProcess):
    """Stops after so many tasks, as abruptly as an exception can."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks

    def map(self, function: Callable[..., Any], shared: Any, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        for answer in super().map(function, shared, tasks):
            if not self.left:
                raise Interrupted
            self.left -= 1
            yield answer


class Backwards(InProcess):
    """The last task is done first; many workers."""

    workers = 3

    def map(self, function: Callable[..., Any], shared: Any, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        yield from reversed(list(super().map(function, shared, tasks)))


def swept(request: SweepRequest, file: CandleFile, folder: Path, pool: InProcess | None = None, name: str = "study") -> SweepResult:
    data = study_data(request.backtest, file.array(), None)
    fingerprint = study_fingerprint(request, data, *split(request, days_of(data.candles, None, None))[:1])
    study = StudyFile(folder / f"{name}.jsonl", fingerprint)
    try:
        return run_sweep(request, file, calendar_for("NSE:BANKNIFTY"), data, pool or InProcess(), study)
    finally:
        study.close()


def walked(request: WalkRequest, file: CandleFile, folder: Path, pool: InProcess | None = None) -> WalkResult:
    data = study_data(request.sweep.backtest, file.array(), None)
    return run_walk(request, file, data, pool or InProcess(), lambda fingerprint: StudyFile(folder / f"{fingerprint}.jsonl", fingerprint))


def test_every_trial_is_the_backtest_of_its_parameters(file: CandleFile, tmp_path: Path) -> None:
    result = swept(REQUEST, file, tmp_path)

    assert result.lane is Lane.SCREENING
    assert (len(result.trials), len(result.best)) == (6, 5)
    for trial in result.best:
        single = run_on(
            msgspec.structs.replace(BASE, parameters=trial.parameters, start=result.in_sample.start, end=result.in_sample.end),
            file,
            calendar_for("NSE:BANKNIFTY"),
            None,
        ).metrics
        assert (trial.figures.trades, trial.figures.net) == (single["trades"], pytest.approx(single["net_profit"]))
        assert trial.figures.sharpe == pytest.approx(single["sharpe"])
        assert trial.figures.max_drawdown_percent == pytest.approx(single["max_drawdown_percent"])
    assert {(trial.parameters["fast_period"], trial.parameters["slow_period"]) for trial in result.trials if trial.status == "invalid"} == {
        (8, 6)
    }


def test_the_best_is_first_and_its_days_out_of_sample_were_not_chosen_on(file: CandleFile, tmp_path: Path) -> None:
    result = swept(REQUEST, file, tmp_path)

    scores = [trial.figures.sharpe or 0.0 for trial in result.best]
    assert scores == sorted(scores, reverse=True)
    assert (len(result.in_sample.dates), result.out_of_sample and len(result.out_of_sample.dates)) == (6, 4)
    assert result.out_of_sample is not None
    assert result.in_sample.end < result.out_of_sample.start
    first = result.best[0]
    held_back = run_on(
        msgspec.structs.replace(BASE, parameters=first.parameters, start=result.out_of_sample.start, end=result.out_of_sample.end),
        file,
        calendar_for("NSE:BANKNIFTY"),
        None,
    )
    assert result.held_back[first.number].net == pytest.approx(held_back.metrics["net_profit"])


def test_prices_of_the_days_held_back_change_no_choice(file: CandleFile, tmp_path: Path) -> None:
    days = days_of(file.array(), None, None).dates
    later = file.opened_at >= np.datetime64(days[6])
    changed = _replaced(
        file, {name: np.where(later, getattr(file, name) * 1.5, getattr(file, name)) for name in ("open", "high", "low", "close")}
    )

    honest, other = swept(REQUEST, file, tmp_path, name="one"), swept(REQUEST, changed, tmp_path, name="two")
    assert [trial.parameters for trial in honest.best] == [trial.parameters for trial in other.best]
    assert [trial.figures for trial in honest.trials] == [trial.figures for trial in other.trials]
    assert honest.held_back != other.held_back


def test_the_deflated_sharpe_ratio_is_of_the_best_among_all_that_were_complete(file: CandleFile, tmp_path: Path) -> None:
    result = swept(REQUEST, file, tmp_path)

    assert result.deflated is not None
    assert (result.deflated.trials, result.deflated.days) == (len(result.best), 6)
    assert result.deflated.sharpe * sqrt(252) == pytest.approx(result.best[0].figures.sharpe)
    assert "trials" in result.verdict()


@pytest.mark.parametrize("tasks", [1, 7])
@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_an_interrupted_sweep_goes_on_and_ends_with_the_same_table(
    file: CandleFile, tmp_path: Path, every: BacktestRequest, method: Any, tasks: int
) -> None:
    ranges = {"every": list(range(20, 60, 4)), "offset": [0, 11]}
    request = SweepRequest(backtest=every, ranges=ranges, method=method, trials=20, seed=3)
    whole = swept(request, file, tmp_path, name="whole")

    with pytest.raises(Interrupted):
        swept(request, file, tmp_path, Broken(tasks), name="killed")
    again = swept(request, file, tmp_path, Backwards(), name="killed")

    assert again.summary() == whole.summary()
    assert whole.lane is Lane.EXACT
    assert {trial.status for trial in whole.trials} == {"complete", "pruned"}


def test_a_strategys_file_travels_with_the_study_to_machines_that_do_not_have_it(
    file: CandleFile, tmp_path: Path, every: BacktestRequest
) -> None:
    data = study_data(every, file.array(), None)
    days = days_of(data.candles, None, None)
    task = TrialTask(request=every, start=days.start, end=days.end, parameters=[{"every": 20}, {"every": 31}])
    here = run_trials(data, task)
    content = Path(every.strategy).read_text(encoding="utf-8")
    Path(every.strategy).unlink()
    assert run_trials(data, task) == here
    Path(every.strategy).write_text(content + "\n# another strategy of the same name\n", encoding="utf-8")
    request = msgspec.structs.replace(REQUEST, backtest=every, ranges={"every": [20, 31]})
    changed = study_data(every, file.array(), None)
    assert study_fingerprint(request, changed, days) != study_fingerprint(request, data, days)


def test_a_finished_sweep_runs_nothing_again(file: CandleFile, tmp_path: Path) -> None:
    first = swept(REQUEST, file, tmp_path)
    assert swept(REQUEST, file, tmp_path, Broken(0)).summary() == first.summary()


def test_pruning_keeps_the_better_half_and_says_on_how_much_the_others_were_judged(
    file: CandleFile, tmp_path: Path, every: BacktestRequest
) -> None:
    request = SweepRequest(backtest=every, ranges={"every": list(range(20, 60))}, out_of_sample=0.0, objective="net")
    result = swept(request, file, tmp_path)

    shares = [trial.share for trial in result.trials]
    assert (shares.count(0.25), shares.count(0.5), shares.count(1.0)) == (20, 10, 10)
    unpruned = swept(msgspec.structs.replace(request, prune=False), file, tmp_path, name="all")
    assert [trial.share for trial in unpruned.trials] == [1.0] * 40
    assert {trial.number: trial.figures for trial in result.best}.items() <= {
        trial.number: trial.figures for trial in unpruned.best
    }.items()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ranges": {}}, "name at least one parameter"),
        ({"backtest": BacktestRequest(strategy="ema_cross", parameters={"fast_period": 3})}, "fast_period.*is set and varied at once"),
        ({"out_of_sample": 1.0}, "is a share of the days"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        SweepRequest(**({"backtest": BASE, "ranges": RANGES} | changes))


def test_a_split_that_leaves_nothing_and_trials_that_cannot_run_are_said(file: CandleFile, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="leaves nothing on one side of 10 days"):
        swept(msgspec.structs.replace(REQUEST, out_of_sample=0.01), file, tmp_path)
    with pytest.raises(InvalidInput, match=r"not one trial could be run: ema_cross.fast_period"):
        swept(msgspec.structs.replace(REQUEST, ranges={"fast_period": [30, 40]}), file, tmp_path)
    with pytest.raises(InvalidInput, match="no candle lies between"):
        days_of(file.array(), date(2030, 1, 1), None)


def test_equal_scores_stand_in_order_of_their_numbers(file: CandleFile, tmp_path: Path, every: BacktestRequest) -> None:
    request = SweepRequest(backtest=every, ranges={"every": [50], "offset": [0, 50, 100]}, out_of_sample=0.0)
    assert [trial.number for trial in ranked(swept(request, file, tmp_path).trials, "net")] == [0, 1, 2]


def test_windows_roll_or_grow_and_never_test_on_what_they_trained_on() -> None:
    days = Days(dates=tuple(date(2024, 1, number) for number in range(1, 12)))
    rolling = windows(WalkRequest(sweep=REQUEST, train=4, test=3), days)
    anchored = windows(WalkRequest(sweep=REQUEST, train=4, test=3, anchored=True), days)

    assert [(w.train.start.day, w.train.end.day, w.test.start.day, w.test.end.day) for w in rolling] == [
        (1, 4, 5, 7),
        (4, 7, 8, 10),
        (7, 10, 11, 11),
    ]
    assert [(w.train.start.day, w.train.end.day) for w in anchored] == [(1, 4), (1, 7), (1, 10)]
    assert [w.test for w in anchored] == [w.test for w in rolling]
    with pytest.raises(InvalidInput, match="leaves nothing to test on: there are 11 trading days"):
        windows(WalkRequest(sweep=REQUEST, train=11, test=3), days)


def test_a_walk_is_the_sum_of_backtests_with_what_each_window_chose(file: CandleFile, tmp_path: Path) -> None:
    result = walked(WalkRequest(sweep=REQUEST, train=4, test=2), file, tmp_path)

    assert len(result.steps) == 3
    nets: list[float] = []
    for step in result.steps:
        assert step.chosen is not None
        single = run_on(
            msgspec.structs.replace(BASE, parameters=step.chosen.parameters, start=step.window.test.start, end=step.window.test.end),
            file,
            calendar_for("NSE:BANKNIFTY"),
            None,
        )
        nets += single.trades["net"].tolist()
    assert result.run.trades["net"].tolist() == nets
    assert result.run.metrics["net_profit"] == pytest.approx(sum(nets))
    assert result.run.result.equity.equity[-1] == pytest.approx(500_000 + sum(nets))
    assert len(result.run.equity) == 6
    trained = sum(step.chosen.figures.net for step in result.steps if step.chosen) / 12
    assert result.efficiency == (pytest.approx(sum(nets) / 6 / trained) if trained > 0 else None)


def test_prices_of_a_test_stretch_do_not_reach_the_choice_made_before_it(file: CandleFile, tmp_path: Path) -> None:
    request = WalkRequest(sweep=REQUEST, train=6, test=4)
    days = days_of(file.array(), None, None).dates
    later = file.opened_at >= np.datetime64(days[6])
    changed = _replaced(
        file, {name: np.where(later, getattr(file, name) * 0.5, getattr(file, name)) for name in ("open", "high", "low", "close")}
    )

    [one], [other] = walked(request, file, tmp_path).steps, walked(request, changed, tmp_path).steps
    assert one.chosen == other.chosen
    assert one.result is not None
    assert other.result is not None
    assert one.result.metrics != other.result.metrics


def test_an_interrupted_walk_ends_with_the_same_table(file: CandleFile, tmp_path: Path) -> None:
    request = WalkRequest(sweep=REQUEST, train=4, test=2)
    whole = walked(request, file, tmp_path)
    (tmp_path / "killed").mkdir()
    with pytest.raises(Interrupted):
        walked(request, file, tmp_path / "killed", Broken(4))

    assert walked(request, file, tmp_path / "killed", Backwards()).summary() == whole.summary()


def test_pages_say_what_was_searched_and_what_it_is_worth(file: CandleFile, tmp_path: Path) -> None:
    result = swept(REQUEST, file, tmp_path)
    page = sweep_page(result)
    walk = walk_page(walked(WalkRequest(sweep=REQUEST, train=4, test=2), file, tmp_path))

    assert [section.title for section in page.sections] == [
        "Can the best one be trusted?",
        "Sharpe by fast_period and slow_period",
        "Trials",
    ]
    heat = page.sections[1].heat
    assert heat is not None
    assert heat.values[2][0] is None  # fast 8, slow 6 cannot be
    assert heat.values[0][0] == next(
        trial.figures.sharpe for trial in result.best if trial.parameters == {"fast_period": 2, "slow_period": 6}
    )
    assert page.kind == "sweep"
    assert any("chosen on" in badge.text and badge.warning for badge in page.badges)
    assert [section.title for section in walk.sections] == ["Windows"]
    assert render(page) == render(sweep_page(result))
    overfitted = sweep_page(swept(msgspec.structs.replace(REQUEST, out_of_sample=0.0), file, tmp_path, name="no_split"))
    assert any(badge.text.startswith("OVERFITTED") for badge in overfitted.badges)


def _replaced(file: CandleFile, columns: dict[str, Any]) -> CandleFile:
    import dataclasses

    return dataclasses.replace(file, **columns)
