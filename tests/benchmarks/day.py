"""A trading day of 25 users on the real system, as fast as everybody follows. Run: `python -m tests.benchmarks.day`.

It is what `shoal demo` runs: real Valkey and mongod, Ray actors, users started by publishing on Redis, 375 minutes, shutdown.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any, cast

from actors.demo import run_demo
from actors.services import RunSpec
from actors.system import System
from tests.benchmarks.report import Figure, figure, publish

USERS = 25
GOAL_SECONDS = {"p99": 90.0}


def play() -> tuple[float, dict[str, Any]]:
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as state:
        spec = RunSpec(state=state, speed=None, wait_for_begin=True, packed_hosts=cores, dedicated_max=8 * cores)
        begun = time.perf_counter()
        result = run_demo(System(spec), USERS, on_stage=lambda _: None, on_progress=lambda _day, _market: None)
        return time.perf_counter() - begun, cast("dict[str, Any]", result)


def main() -> None:
    seconds, result = play()
    assert result["seq_gaps"] == result["duplicate_orders"] == 0
    stages = [figure(f"{stage} alone", "s", [taken]) for stage, taken in result["seconds"].items()]
    under_load = [
        Figure(name=f"{name.replace('_', ' ')}, under this load", unit="ms", **result[name])
        for name in ("signal_to_fill_ms", "tick_to_exit_order_ms")
    ]
    sizes = {name: result[name] for name in ("users", "candles", "signals", "orders_filled", "events_published")}
    publish("day", sizes, [figure("a day, boot and shutdown included", "s", [seconds], goal=GOAL_SECONDS), *stages, *under_load])


if __name__ == "__main__":
    main()
