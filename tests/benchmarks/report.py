"""What every benchmark prints: one JSON object with the machine, the sizes and the figures, so that runs can be compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from actors.bench.processes import machine


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing measured. `goal` bounds the statistic it names, from above. `ratio` is p50 over the baseline's p50."""

    name: str
    unit: str
    p50: float
    p99: float
    samples: int
    goal: dict[str, float] = {}
    met: bool | None = None
    baseline: str | None = None
    ratio: float | None = None


def figure(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    goal: dict[str, float] | None = None,
    baseline: tuple[str, Sequence[float]] | None = None,
) -> Figure:
    """`goal` is {"p50" or "p99": the most it may be}; `baseline` a name and what it measured in the same run and unit."""
    p50, p99 = (rounded(float(value)) for value in np.percentile(values, [50, 99]))
    met = None if goal is None else all({"p50": p50, "p99": p99}[statistic] <= most for statistic, most in goal.items())
    ratio = None if baseline is None else rounded(float(np.percentile(values, 50) / np.percentile(baseline[1], 50)))
    return Figure(
        name=name,
        unit=unit,
        p50=p50,
        p99=p99,
        samples=len(values),
        goal=goal or {},
        met=met,
        baseline=None if baseline is None else f"{baseline[0]}: p50 {rounded(float(np.percentile(baseline[1], 50)))}",
        ratio=ratio,
    )


def rounded(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")


def publish(name: str, sizes: dict[str, Any], figures: Sequence[Figure]) -> None:
    met = [each.met for each in figures if each.met is not None]
    report = {"benchmark": name, "machine": machine(), "sizes": sizes, "figures": figures, "met": all(met) if met else None}
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
