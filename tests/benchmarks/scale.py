"""What `shoal bench all` measures, as figures with goals. Run: `python -m tests.benchmarks.scale [USERS …]`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from actors.bench.cold_start import cold_start
from actors.bench.fan_out import fan_out
from actors.bench.memory import memory
from actors.bench.ticks import ticks
from tests.benchmarks.report import Figure, figure, publish

USERS = (1_000, 10_000)
GOALS: dict[str, dict[int, float]] = {
    "decided": {1_000: 200, 10_000: 1_500},
    "filled": {1_000: 500, 10_000: 4_000},
    "stopped": {1_000: 10, 10_000: 50},
    "started": {1_000: 15, 10_000: 90},
    "kb": {1_000: 100, 10_000: 100},
}


def quietly(what: str, done: int, total: int) -> None:
    """No progress bar: another program reads what is printed."""


def against(name: str, users: int) -> dict[str, float] | None:
    goal = GOALS[name].get(users)
    return None if goal is None else {"p50": goal}


async def measure(users: int) -> tuple[list[Figure], dict[str, Any]]:
    results: dict[str, Any] = {
        "fan-out": await fan_out(users, on_progress=quietly),
        "ticks": await ticks(users, on_progress=quietly),
        "cold-start": await cold_start(users, on_progress=quietly),
        "memory": await memory(users, on_progress=quietly),
    }
    out, tick = results["fan-out"], results["ticks"]
    assert (out["duplicates"], out["missing"], results["cold-start"]["restored"]) == (0, 0, users)
    loop = ("a loop, one after another", [out["baseline_ms_per_user"] * users])
    return [
        figure(
            f"{users:,} users: signal to order, p99 over users",
            "ms",
            [out["decision_ms"]["p99"]],
            goal=against("decided", users),
            baseline=loop,
        ),
        figure(
            f"{users:,} users: signal to fill on Redis, p99 over users",
            "ms",
            [out["fill_ms"]["p99"]],
            goal=against("filled", users),
            baseline=loop,
        ),
        figure(f"{users:,} users: tick to stop order, p99 over orders", "ms", [tick["order_ms"]["p99"]], goal=against("stopped", users)),
        figure(f"{users:,} users: cold start", "s", results["cold-start"]["seconds_of_each"], goal=against("started", users)),
        figure(f"{users:,} users: memory a user", "kB", results["memory"]["kb_per_user_of_each"], goal=against("kb", users)),
    ], results


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or list(USERS)
    figures, rank = list[Figure](), dict[str, float]()
    for users in counts:
        found, results = asyncio.run(measure(users))
        figures += found
        rank[str(users)] = results["fan-out"]["rank_uniformity_p"]
    publish("scale", {"users": counts, "rank_uniformity_p": rank}, figures)


if __name__ == "__main__":
    main()
