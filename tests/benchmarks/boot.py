"""How long the embedded system takes to boot: Valkey, mongod, Ray and the shared actors. Run: `python -m tests.benchmarks.boot`."""

from __future__ import annotations

import tempfile
import time

from actors.services import RunSpec
from actors.system import System
from tests.benchmarks.report import figure, publish

RUNS = 4
GOAL_SECONDS = {"p99": 20.0}


def seconds_to_boot(state: str) -> float:
    begun = time.perf_counter()
    with System(RunSpec(state=state, wait_for_begin=True)):
        return time.perf_counter() - begun


def main() -> None:
    first: list[float] = []
    again: list[float] = []
    for _ in range(RUNS // 2):
        with tempfile.TemporaryDirectory() as state:
            first.append(seconds_to_boot(state))
            again.append(seconds_to_boot(state))
    publish(
        "boot",
        {"runs": RUNS},
        [
            figure("boot, first time", "s", first, goal=GOAL_SECONDS),
            figure("boot with the data of an earlier run", "s", again, goal=GOAL_SECONDS),
        ],
    )


if __name__ == "__main__":
    main()
