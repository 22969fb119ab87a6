"""What is wrong with a file of candles, found with whole-array operations and told with counts and first examples."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.calendar import ExchangeCalendar

EXAMPLES_MAX = 3
JUMP_MAX = 1.25
"""An exchange with circuit breakers (NSE: 20 % a day) cannot move by more than this factor within a day: such rows are another instrument's."""
Action: TypeAlias = Literal["dropped", "refused", "sorted", "kept", "left missing", "renamed"]


class Problem(StrEnum):
    UNREADABLE = "unreadable row"
    NOT_A_PRICE = "NaN, infinite, zero or negative value"
    PRICE_DISORDER = "open/high/low/close out of order"
    OUT_OF_ORDER = "rows not in time order"
    EXACT_DUPLICATE = "exact duplicate row"
    CONFLICTING_DUPLICATE = "rows of one time that differ"
    OFF_SESSION = "outside the exchange session"
    OFF_GRID = "not a whole number of candles after the session's open"
    LEVEL_JUMP = "prices of another level, as of another instrument"
    GAP = "missing candle"
    SHORT_SESSION = "short session"
    WRONG_INSTRUMENT = "instrument column differs"


class Finding(msgspec.Struct, frozen=True):
    """`count` is rows; for GAP missing candles, for SHORT_SESSION days. `action` is what became of them."""

    problem: Problem
    count: int
    action: Action
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.problem}: {self.count} {self.action}, first: {'; '.join(self.examples)}"


class QualityReport(msgspec.Struct):
    """`rows` were read, `used` became candles. `label` says whether the file names a candle by its start or its end."""

    path: str
    rows: int = 0
    used: int = 0
    label: Literal["start", "end"] = "start"
    notes: list[str] = []
    findings: dict[Problem, Finding] = {}

    def add(
        self,
        problem: Problem,
        count: int,
        action: Action,
        examples: Iterable[str],
    ) -> None:
        if not count:
            return
        before = self.findings.get(problem)
        shown = (*(before.examples if before else ()), *examples)[:EXAMPLES_MAX]
        self.findings[problem] = Finding(problem, count + (before.count if before else 0), action, shown)

    def count(self, problem: Problem) -> int:
        finding = self.findings.get(problem)
        return finding.count if finding else 0

    def lines(self) -> list[str]:
        """For people: one line of totals, then notes and findings."""
        return [f"{self.path}: {self.used} of {self.rows} rows used", *self.notes, *map(str, self.findings.values())]


class Bars(NamedTuple):
    """`at`: wall-clock starts (datetime64[s]) of the exchange's zone; `values`: float64, columns open, high, low, close and perhaps volume."""

    at: NDArray[np.datetime64]
    values: NDArray[np.float64]

    def keep(self, mask: NDArray[np.bool_]) -> Bars:
        return self if mask.all() else Bars(self.at[mask], self.values[mask])


def clean(bars: Bars, calendar: ExchangeCalendar | None, minutes: int, report: QualityReport) -> Bars:
    """Only rows that can be true, once each, in time order and inside the session."""
    bars = _refuse_impossible(bars, report)
    bars = _deduplicate(bars, report)
    if calendar is not None:
        bars = _drop_off_session(bars, calendar, minutes, report)
        bars = _refuse_jumps(bars, report)
        _find_gaps(bars, calendar, minutes, report)
    else:
        _find_gaps_round_the_clock(bars, minutes, report)
    report.used = len(bars.at)
    return bars


def _refuse_impossible(bars: Bars, report: QualityReport) -> Bars:
    prices, volumes = bars.values[:, :4], bars.values[:, 4:]
    possible = _each_row(np.isfinite(prices) & (prices > 0)) & _each_row(np.isfinite(volumes) & (volumes >= 0))
    report.add(Problem.NOT_A_PRICE, int((~possible).sum()), "refused", _examples(bars, ~possible))
    bars = bars.keep(possible)

    prices = bars.values[:, :4]
    ordered = _each_row((prices <= prices[:, 1:2]) & (prices >= prices[:, 2:3]))  # none above high, none below low
    report.add(Problem.PRICE_DISORDER, int((~ordered).sum()), "refused", _examples(bars, ~ordered))
    return bars.keep(ordered)


def _deduplicate(bars: Bars, report: QualityReport) -> Bars:
    back = bars.at[1:] < bars.at[:-1]
    if back.any():
        report.add(Problem.OUT_OF_ORDER, int(back.sum()), "sorted", (str(at) for at in bars.at[1:][back][:EXAMPLES_MAX]))
        order = np.argsort(bars.at, kind="stable")
        bars = Bars(bars.at[order], bars.values[order])
    same_time = bars.at[1:] == bars.at[:-1]
    if not same_time.any():
        return bars
    differs = same_time & (bars.values[1:] != bars.values[:-1]).any(axis=1)
    conflicting = np.isin(bars.at, bars.at[1:][differs])
    repeated = np.concatenate([[False], same_time]) & ~conflicting
    report.add(Problem.EXACT_DUPLICATE, int(repeated.sum()), "dropped", _examples(bars, repeated))
    report.add(Problem.CONFLICTING_DUPLICATE, int(conflicting.sum()), "refused", _examples(bars, conflicting))
    return bars.keep(~(conflicting | repeated))


class _Parts(NamedTuple):
    """The parts of all sessions in question, ascending: wall-clock open and close (datetime64[s]) and the trading date of each."""

    opens: NDArray[np.datetime64]
    closes: NDArray[np.datetime64]
    dates: NDArray[np.datetime64]

    @classmethod
    def of(cls, bars: Bars, calendar: ExchangeCalendar) -> _Parts:
        """Of every date with a row, and of the date after it, whose session may begin on the evening before."""
        present = np.unique(bars.at.astype("datetime64[D]"))
        days: list[date] = np.unique(np.concatenate([present, present + 1])).tolist()
        spans = [(opens.replace(tzinfo=None), closes.replace(tzinfo=None), day) for day in days for opens, closes in calendar.session(day)]
        opens, closes, dates = zip(*spans, strict=True) if spans else ((), (), ())
        return cls(np.array(opens, "datetime64[s]"), np.array(closes, "datetime64[s]"), np.array(dates, "datetime64[D]"))

    def of_rows(self, at: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Number of the part that each time lies in, -1 outside of all."""
        number: NDArray[np.int64] = np.searchsorted(self.opens, at, side="right") - 1
        if not len(self.opens):
            return number
        number[(number < 0) | (at >= self.closes[number])] = -1
        return number

    def grid(self, number: int, minutes: int) -> NDArray[np.datetime64]:
        count = -int((self.opens[number] - self.closes[number]).astype(np.int64) // (minutes * 60))
        return self.opens[number] + np.arange(count).astype(f"timedelta64[{minutes}m]")


def _drop_off_session(bars: Bars, calendar: ExchangeCalendar, minutes: int, report: QualityReport) -> Bars:
    parts = _Parts.of(bars, calendar)
    number = parts.of_rows(bars.at)
    inside = number >= 0
    on_grid = inside.copy()
    on_grid[inside] = (bars.at[inside] - parts.opens[number[inside]]).astype(np.int64) % (minutes * 60) == 0
    report.add(Problem.OFF_SESSION, int((~inside).sum()), "dropped", map(str, bars.at[~inside][:EXAMPLES_MAX]))
    report.add(Problem.OFF_GRID, int((inside & ~on_grid).sum()), "refused", map(str, bars.at[inside & ~on_grid][:EXAMPLES_MAX]))
    return bars.keep(on_grid)


def _refuse_jumps(bars: Bars, report: QualityReport) -> Bars:
    """Refuse what follows a jump within a day until prices are back at the level before it; overnight any level is possible."""
    if len(bars.at) < 2:
        return bars
    ratio = bars.values[1:, 0] / bars.values[:-1, 3]
    edges = [0, *(np.flatnonzero((ratio > JUMP_MAX) | (ratio < 1 / JUMP_MAX)) + 1).tolist(), len(bars.at)]
    day = bars.at.astype("datetime64[D]")
    keep = np.ones(len(bars.at), dtype=bool)
    level = float(bars.values[0, 0])
    for first, end in pairwise(edges):
        opens_day = first == 0 or day[first] != day[first - 1]
        if opens_day or 1 / JUMP_MAX <= float(bars.values[first, 0]) / level <= JUMP_MAX:
            level = float(bars.values[end - 1, 3])
        else:
            keep[first:end] = False
    report.add(Problem.LEVEL_JUMP, int((~keep).sum()), "refused", _examples(bars, ~keep))
    return bars.keep(keep)


def _find_gaps(bars: Bars, calendar: ExchangeCalendar, minutes: int, report: QualityReport) -> None:
    """Of dates with a row: a date without any is a holiday that the calendar does not know, or was never in the data."""
    if not len(bars.at):
        return
    parts = _Parts.of(bars, calendar)
    present = np.bincount(parts.of_rows(bars.at), minlength=len(parts.opens))
    wanted = -((parts.opens - parts.closes).astype(np.int64) // (minutes * 60))
    dates, of_part = np.unique(parts.dates, return_inverse=True)
    counts, expected = (np.bincount(of_part, weights=of, minlength=len(dates)).astype(np.int64) for of in (present, wanted))
    short = np.flatnonzero((counts > 0) & (counts < expected))
    gaps: list[str] = []
    for day in short.tolist():
        if len(gaps) >= EXAMPLES_MAX:
            break
        grid = np.concatenate([parts.grid(number, minutes) for number in np.flatnonzero(of_part == day).tolist()])
        gaps += _runs(np.setdiff1d(grid, bars.at), minutes)
    report.add(Problem.GAP, int((expected - counts)[short].sum()), "left missing", gaps)
    report.add(Problem.SHORT_SESSION, len(short), "kept", (f"{dates[day]}: {counts[day]} of {expected[day]}" for day in short.tolist()))


def _find_gaps_round_the_clock(bars: Bars, minutes: int, report: QualityReport) -> None:
    steps = np.diff(bars.at).astype(np.int64) // (60 * minutes)
    holes = np.flatnonzero(steps > 1)
    examples = (f"{steps[at] - 1} after {bars.at[at]}" for at in holes[:EXAMPLES_MAX].tolist())
    report.add(Problem.GAP, int((steps[holes] - 1).sum()), "left missing", examples)


def _runs(times: NDArray[np.datetime64], minutes: int) -> list[str]:
    """Adjacent times as `2013-10-14 10:12 to 11:25 (74)`."""
    breaks = np.flatnonzero(np.diff(times).astype(np.int64) > minutes * 60) + 1
    runs: list[str] = []
    for run in np.split(times, breaks):
        first, last = run[0].item(), run[-1].item()
        runs.append(f"{first:%Y-%m-%d %H:%M}" + (f" to {last:%H:%M} ({len(run)})" if len(run) > 1 else ""))
    return runs


def _each_row(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.logical_and.reduce(cells, axis=1)


def _examples(bars: Bars, mask: NDArray[np.bool_]) -> Iterable[str]:
    for row in np.flatnonzero(mask)[:EXAMPLES_MAX].tolist():
        yield f"{bars.at[row]} {bars.values[row].tolist()}"
