"""How long the embedded system takes to boot: Valkey, mongod, Ray and the shared actors. Run: `python -m tests.benchmarks.boot`.

Every boot has a process of its own, as `shoal up` has; the interpreter's start and imports are part of the figure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from tests.benchmarks.report import figure, publish

RUNS = 3
GOAL_SECONDS = {"p99": 20.0}
BOOT = """
import sys
from actors.services import RunSpec
from actors.system import System
with System(RunSpec(state=sys.argv[1], wait_for_begin=True)):
    print("ready", flush=True)
    sys.stdin.read()
"""


def seconds_to_boot(state: str) -> float:
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", BOOT, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as system:
        assert system.stdout is not None
        while system.stdout.readline() != "ready\n":
            assert system.poll() is None, "the system did not boot"
        taken = time.perf_counter() - begun
        system.communicate()
    return taken


def main() -> None:
    first: list[float] = []
    again: list[float] = []
    for _ in range(RUNS):
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
