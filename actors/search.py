"""Which parameters to try: all of a grid, a seeded sample of it, or where a model of the results so far expects the best (TPE)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np

from runtime.errors import InvalidInput

Ranges: TypeAlias = Mapping[str, Sequence[Any]]
"""Values of each varied parameter, in order."""
Method: TypeAlias = Literal["grid", "random", "tpe"]
Index: TypeAlias = tuple[int, ...]
"""Position of a trial's value in each range."""

GRID_MAX = 1_000_000
GENERATION = 16
"""Trials that a model proposes at once: they see the results of the generations before, so that it does not matter who is done first."""
_VALUES_MAX = 100_000


def parse_ranges(texts: Sequence[str]) -> dict[str, list[Any]]:
    """`fast_period=5:50:5` (both ends included), `fast_period=5:9` (by 1), or `mode=a,b,c`.

    Raises:
        InvalidInput: not of these forms, nothing in it, or a parameter twice.
    """
    ranges: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not (name and equals and values):
            raise InvalidInput("--vary", text, "write it as NAME=FROM:TO:STEP or NAME=A,B,C")
        if name in ranges:
            raise InvalidInput("--vary", text, f"{name} is varied twice")
        ranges[name] = _span(text, values.split(":")) if ":" in values else [_value(value) for value in values.split(",")]
    return ranges


def grid_size(ranges: Ranges) -> int:
    return prod(len(values) for values in ranges.values())


def grid(ranges: Ranges) -> list[Index]:
    """Every combination, the last parameter changing fastest. Raises `InvalidInput` for more than a million."""
    if grid_size(ranges) > GRID_MAX:
        raise InvalidInput(
            "--vary", f"{grid_size(ranges):,} combinations", f"a grid has at most {GRID_MAX:,}: use --method random or tpe with --trials"
        )
    return list(itertools.product(*(range(len(values)) for values in ranges.values())))


def sample(ranges: Ranges, count: int, seed: int) -> list[Index]:
    """`count` different combinations, all of them if there are no more."""
    size, lengths = grid_size(ranges), [len(values) for values in ranges.values()]
    if size <= count:
        return grid(ranges)
    random = np.random.default_rng(seed)
    chosen: dict[int, None] = {}
    while len(chosen) < count:
        chosen |= dict.fromkeys(int(number) for number in random.integers(0, size, count - len(chosen)))
    return [tuple(int(at) for at in np.unravel_index(number, lengths)) for number in chosen]


def propose(ranges: Ranges, tried: Sequence[tuple[Index, float]], seed: int, count: int = GENERATION) -> list[Index]:
    """The next generation by optuna's TPE, given what was tried and its score (the higher the better), in order of trial number.

    A function of its arguments alone: each proposal has a sampler of its own, seeded with `seed` and the trial's number.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces: dict[str, Any] = {name: optuna.distributions.IntDistribution(0, len(values) - 1) for name, values in ranges.items()}
    study = optuna.create_study(direction="maximize")
    for index, value in tried:
        if np.isfinite(value):
            parameters = dict(zip(ranges, index, strict=True))
            study.add_trial(optuna.trial.create_trial(params=parameters, distributions=spaces, value=value))
    known = {index for index, _ in tried}
    proposed: list[Index] = []
    for attempt in range(4 * count):
        study.sampler = optuna.samplers.TPESampler(seed=seed + 1_000 * len(tried) + attempt, n_startup_trials=2 * GENERATION)
        asked = study.ask(spaces)
        index = tuple(int(asked.params[name]) for name in ranges)
        if index not in known:
            known.add(index)
            proposed.append(index)
        if len(proposed) == count:
            break
    return proposed


def parameters_of(ranges: Ranges, index: Index) -> dict[str, Any]:
    return {name: values[at] for (name, values), at in zip(ranges.items(), index, strict=True)}


def _span(text: str, parts: Sequence[str]) -> list[Any]:
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in {2, 3}:
        raise InvalidInput("--vary", text, "write a range of numbers as FROM:TO or FROM:TO:STEP")
    start, end, step = (*numbers, 1.0)[:3]
    if not (np.isfinite(numbers).all() and step > 0 and end >= start and (end - start) / step < _VALUES_MAX):
        raise InvalidInput("--vary", text, "needs a positive step and an end that is not before the start")
    count = int((end - start) / step + 1e-9) + 1
    whole = all(float(number).is_integer() for number in (start, step))
    return [int(start + at * step) if whole else round(start + at * step, 10) for at in range(count)]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
