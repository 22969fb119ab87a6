"""Runs benchmarks one after the other, each in a process of its own: `python -m tests.benchmarks [--json] [NAME …]`.

`--json` prints one JSON object of all reports; otherwise a line per figure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

NAMES = (
    "candles",
    "triggers",
    "venue",
    "upstox",
    "virtual_day",
    "storage",
    "bus",
    "latency",
    "candle_close",
    "halt",
    "poisoned",
    "scale",
    "boot",
    "day",
)
SECONDS_MAX = 1_800


def run(name: str) -> dict[str, Any]:
    """Raises CalledProcessError when it fails: a goal that is missed is no failure but a figure."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{name}"], stdout=subprocess.PIPE, check=True, timeout=SECONDS_MAX, text=True
    )
    return json.loads(done.stdout)


def lines(report: dict[str, Any]) -> list[str]:
    machine = report["machine"]
    found = [f"{report['benchmark']}  ({machine['cores']} cores, load {machine['load_average'][0]}; {report['sizes']})"]
    for each in report["figures"]:
        verdict = {True: "met", False: "MISSED", None: ""}[each.get("met")]
        goal = ", ".join(f"{statistic} ≤ {most:g}" for statistic, most in each.get("goal", {}).items())
        against = f"×{each['ratio']:g} of {each['baseline']}" if "ratio" in each else ""
        found.append(
            f"  {each['name']:<64} {each['unit']:<3} p50 {each['p50']:<10g} p99 {each['p99']:<10g} {goal:<12} {verdict:<7} {against}"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is named")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    reports: dict[str, Any] = {}
    for name in arguments.names or NAMES:
        print(f"measuring {name} …", file=sys.stderr)
        reports[name] = run(name)
        if not arguments.json:
            print("\n".join(lines(reports[name])), flush=True)
    if arguments.json:
        print(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()
