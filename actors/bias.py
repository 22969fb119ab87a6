"""Does a strategy know what it cannot know yet, and how much history does it need? Checked by running it again on less.

- **Look-ahead.** At seeded points, half of them candles with a signal, a fresh instance sees only the candles up to there. Its
  decision and every value behind it must equal those of the run that had all the candles.
- **Memory between runs.** After those, the same process runs all candles once more: what one run learned must not reach another.
- **Outside reads.** Files and network addresses that the strategy opens while it is made or decides: what is in there may
  know the future, and no cut of the candles shows that.
- **Warm-up.** The last candles are run again with less and less before them: where decisions differ, the strategy needed more.

Each run of many candles is in a process of its own, so that nothing that was seen before can be remembered.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from multiprocessing import get_context
from typing import Any, TypeAlias

import msgspec
import numpy as np

from actors.strategy_source import create_strategy
from runtime.backtest.candle_array import CandleArray
from runtime.calendar import ExchangeCalendar
from runtime.candles import round_the_clock
from runtime.errors import InvalidConfig
from runtime.market import Candle
from runtime.signals import Target
from runtime.strategy import MarketContext, Strategy

EXAMPLES_MAX = 5
_WARM_UPS = (0, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)
_COMPARED_SHARE, _COMPARED_MAX = 0.25, 5_000
_AUDITED = {"open": 0, "socket.connect": 1, "subprocess.Popen": 0, "sqlite3.connect": 0}
"""Python's audit events of reaching outside, and which of their arguments says where to."""

Outcome: TypeAlias = tuple[Target | None, dict[str, float | str | None]]
"""What a strategy wants on a candle, and every value behind it."""


class BiasRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`candles_max`: only the newest so many are looked at. `points`: how many places to cut at."""

    strategy: str
    parameters: Mapping[str, object] = {}
    points: int = 20
    candles_max: int = 20_000
    seed: int = 7


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """At `time` (ISO, exchange's zone) one run said `whole`, the other `other`."""

    time: str
    whole: str
    other: str


class WarmUp(msgspec.Struct, frozen=True, kw_only=True):
    """Of the `compared` candles, on `differing` the decision is another one with only `candles` before them."""

    candles: int
    compared: int
    differing: int


class BiasReport(msgspec.Struct, frozen=True, kw_only=True):
    strategy: str
    candles: int
    signals: int
    points: int
    look_ahead: tuple[Difference, ...]
    memory: tuple[Difference, ...]
    outside: tuple[str, ...]
    warm_up: tuple[WarmUp, ...]

    @property
    def is_biased(self) -> bool:
        return bool(self.look_ahead or self.memory or self.outside)

    @property
    def warm_up_needed(self) -> int | None:
        """The fewest candles tried from which on nothing differs; None when even the most are too few."""
        enough: int | None = None
        for run in reversed(self.warm_up):
            if run.differing:
                return enough
            enough = run.candles
        return enough


def check_bias(request: BiasRequest, candles: CandleArray, calendar: ExchangeCalendar | None) -> BiasReport:
    """Run all the checks.

    Raises:
        InvalidConfig: the strategy or a parameter is wrong, or the strategy fails on a candle.
    """
    first = max(0, len(candles) - request.candles_max)
    case = _Case(request, candles, _sessions(candles, calendar, first), first)
    whole, outside = _in_fresh_process(_run_whole, case)
    points = _points(request, whole, first)
    cut, again, more_outside = _in_fresh_process(_run_cut, case, points)
    warm_up = _in_fresh_process(_run_warm_ups, case, len(whole))
    look_ahead = [_difference(candles, row, whole[row - first], cut[row]) for row in points if cut[row] != whole[row - first]]
    memory = [
        _difference(candles, first + at, one, other) for at, (one, other) in enumerate(zip(whole, again, strict=True)) if one != other
    ]
    return BiasReport(
        strategy=request.strategy,
        candles=len(whole),
        signals=sum(target is not None for target, _ in whole),
        points=len(points),
        look_ahead=tuple(look_ahead[:EXAMPLES_MAX]),
        memory=tuple(memory[:EXAMPLES_MAX]),
        outside=tuple(dict.fromkeys([*outside, *more_outside]))[:EXAMPLES_MAX],
        warm_up=warm_up,
    )


Sessions: TypeAlias = Sequence[tuple[datetime, datetime]]


class _Case(msgspec.Struct, frozen=True):
    """Rows before `first` are left out. `sessions`: open and close of each row's session from there on, the same objects while it lasts."""

    request: BiasRequest
    candles: CandleArray
    sessions: Sessions
    first: int


def _sessions(candles: CandleArray, calendar: ExchangeCalendar | None, first: int) -> Sessions:
    bounds_at = round_the_clock if calendar is None else calendar.bounds_at
    sessions: list[tuple[datetime, datetime]] = []
    for second in candles.opened_at[first:].tolist():
        bounds = bounds_at(datetime.fromtimestamp(second, candles.zone))
        sessions.append(sessions[-1] if sessions and sessions[-1] == bounds else bounds)
    return sessions


def _in_fresh_process(function: Any, *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _points(request: BiasRequest, whole: Sequence[Outcome], first: int) -> list[int]:
    """Ascending, so that what an instance leaves behind knows nothing of the candles the next one has yet to see."""
    random = np.random.default_rng(request.seed)
    signals = [at for at, (target, _) in enumerate(whole) if target is not None]
    some: list[int] = random.choice(signals, min(len(signals), request.points // 2), replace=False).tolist() if signals else []
    others: list[int] = random.choice(len(whole), min(len(whole), request.points - len(some)), replace=False).tolist()
    return sorted({first + at for at in [*some, *others]})


def _run_whole(case: _Case) -> tuple[list[Outcome], list[str]]:
    with _outside_reads() as outside:
        return _outcomes(case, case.first, len(case.candles)), outside


def _run_cut(case: _Case, points: Sequence[int]) -> tuple[dict[int, Outcome], list[Outcome], list[str]]:
    with _outside_reads() as outside:
        cut = {row: _outcomes(case, case.first, row + 1)[-1] for row in points}
        return cut, _outcomes(case, case.first, len(case.candles)), outside


def _run_warm_ups(case: _Case, count: int) -> tuple[WarmUp, ...]:
    compared = max(1, min(int(count * _COMPARED_SHARE), _COMPARED_MAX))
    start = len(case.candles) - compared
    reference = _decisions(_outcomes(case, case.first, len(case.candles))[-compared:])
    found: list[WarmUp] = []
    for length in (length for length in _WARM_UPS if length < count - compared):
        decisions = _decisions(_outcomes(case, start - length, len(case.candles))[-compared:])
        differing = sum(one != other for one, other in zip(reference, decisions, strict=True))
        found.append(WarmUp(candles=length, compared=compared, differing=differing))
    return tuple(found)


def _decisions(outcomes: Sequence[Outcome]) -> list[tuple[Any, ...] | None]:
    """What would be traded: values behind it settle only in the limit, and need not."""
    return [
        None if target is None else (target.side, target.rule, target.direction, target.instrument, target.stop, target.target)
        for target, _ in outcomes
    ]


def _outcomes(case: _Case, start: int, end: int) -> list[Outcome]:
    """The rows are cut before the strategy exists: there is nothing later anywhere that it could find."""
    candles = _cut(case.candles, start, end)
    strategy = create_strategy(case.request.strategy, case.request.parameters)
    return [_decide(strategy, candle, context) for candle, context in _with_contexts(candles, case.sessions[start - case.first :])]


def _decide(strategy: Strategy, candle: Candle, context: MarketContext) -> Outcome:
    try:
        return strategy.on_candle(candle, context), strategy.describe()
    except Exception as error:  # a strategy is foreign code: whatever it raises is the user's to mend
        raise InvalidConfig(
            "strategy", strategy.name, f"fails on the candle of {candle.opened_at}: {type(error).__name__}: {error}"
        ) from error


def _cut(candles: CandleArray, start: int, end: int) -> CandleArray:
    prices = np.column_stack([candles.open, candles.high, candles.low, candles.close])[start:end]
    volume = None if candles.volume is None else candles.volume[start:end].copy()
    return CandleArray.of(candles.instrument, candles.timeframe, candles.zone, candles.opened_at[start:end].copy(), prices, volume)


def _with_contexts(candles: CandleArray, sessions: Sessions) -> Iterator[tuple[Candle, MarketContext]]:
    for row in range(len(candles)):
        candle, (session_open, session_close) = candles.candle(row), sessions[row]
        yield candle, MarketContext(session_open=session_open, session_close=session_close, volume=candle.volume)


_listeners: list[list[str]] = []
"""An audit hook cannot be taken away again: there is one in a process, and it tells whoever listens."""


@contextmanager
def _outside_reads() -> Generator[list[str]]:
    if not _listeners:
        sys.addaudithook(_audit)
    heard: list[str] = []
    _listeners.append(heard)
    yield heard
    _listeners.clear()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listeners or event not in _AUDITED:
        return
    where = str(arguments[_AUDITED[event]])
    if event == "open" and (where.isdigit() or _belongs_to_python(where)):
        return
    _listeners[-1].append(f"{event} {where}")


def _belongs_to_python(path: str) -> bool:
    """Modules, compiled caches, and the time zone database."""
    own = path.startswith((sys.prefix, sys.base_prefix, "/usr/share/zoneinfo", "/usr/lib"))
    return own or "__pycache__" in path or path.endswith((".py", ".pyc", ".so"))


def _difference(candles: CandleArray, row: int, whole: Outcome, other: Outcome) -> Difference:
    return Difference(time=candles.candle(row).opened_at.isoformat(), whole=_words(whole, other), other=_words(other, whole))


def _words(outcome: Outcome, against: Outcome) -> str:
    """The decision, and the values that differ."""
    target, values = outcome
    said = "no signal" if target is None else f"{target.direction or target.side} by {target.rule}"
    differing = [f"{name} {value}" for name, value in values.items() if against[1].get(name) != value]
    return f"{said} ({', '.join(differing[:3])})" if differing else said
