"""Tables and a plot of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Any, cast

Result = Mapping[str, Any]

_GOALS: Mapping[str, Mapping[str, Mapping[int, float]]] = {
    "fan-out": {"decision_ms.p99": {1_000: 200, 10_000: 1_500}, "fill_ms.p99": {1_000: 500, 10_000: 4_000}},
    "ticks": {"order_ms.p99": {1_000: 10, 10_000: 50}},
    "cold-start": {"seconds": {1_000: 15, 10_000: 90}},
    "memory": {"kb_per_user": {1_000: 100, 10_000: 100}},
}
_HIDDEN = frozenset({"machine", "users", "seconds_of_each"})


def rows(kind: str, result: Result) -> list[tuple[str, str, str]]:
    """(figure, value, goal and whether it is met) for people."""
    return [(name, _text(value), _verdict(kind, name, value, int(result["users"]))) for name, value in _flat(result) if name not in _HIDDEN]


def _flat(result: Result, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in result.items():
        if isinstance(value, dict) and name != "machine":
            found += _flat(cast("Result", value), f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", cast("Any", value)))
    return found


def _text(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _verdict(kind: str, name: str, value: Any, users: int) -> str:
    goal = _GOALS.get(kind, {}).get(name, {}).get(users)
    return "" if goal is None else f"≤ {goal:g} {'met' if value <= goal else 'MISSED'}"


_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 420, 80, 60, 50, 190
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c")


def plot(results: Sequence[Result]) -> str:
    """An SVG of what a user costs, by number of users, on logarithmic axes: a line that does not rise is a cost that does not grow."""
    users = [int(result["users"]) for result in results]
    curves = {
        "last order decided": [1000 * result["decision_ms"]["last"] / result["users"] for result in results],
        "last fill on Redis": [1000 * result["fill_ms"]["last"] / result["users"] for result in results],
        "processor time": [1e6 * result["cpu_s"] / result["users"] for result in results],
    }
    low = floor(log10(min(value for curve in curves.values() for value in curve)))
    high = ceil(log10(max(value for curve in curves.values() for value in curve)))

    def x(count: float) -> float:
        first, last = log10(min(users)), log10(max(users))
        return _LEFT + (log10(count) - first) / max(last - first, 1e-9) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (log10(value) - low) / max(high - low, 1) * (_HEIGHT - _BOTTOM - _TOP)

    parts = [f'<text x="{_LEFT}" y="24" font-size="15">One signal to every user: microseconds per user</text>']
    for power in range(low, high + 1):
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(10**power):.1f}" y2="{y(10**power):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(10**power) + 4:.1f}" text-anchor="end">{10**power:,g}</text>')
    parts += [f'<text x="{x(count):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{count:,}</text>' for count in users]
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">users</text>')
    for colour, (name, values) in zip(_COLOURS, curves.items(), strict=True):
        points = [(x(count), y(value)) for count, value in zip(users, values, strict=True)]
        line = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3.5" fill="{colour}"/>' for across, up in points]
        parts.append(f'<text x="{points[-1][0] + 10:.1f}" y="{points[-1][1] + 4:.1f}" fill="{colour}">{name}: {values[-1]:,.0f}</text>')
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">'
    return "\n".join([frame, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>', *parts, "</svg>\n"])
