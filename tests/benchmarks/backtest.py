"""Backtests against their goals and against other libraries. Run: `python -m tests.benchmarks.backtest [--bars N …] [--peers NAME …|none]`.

Prints one JSON object per number of candles: `lanes`, `trades`, `peers` {name: {version, bars_s, trades}}, `rss_mb`,
`trade_memory` (as `tests.benchmarks.trade_memory` tells). Peers are installed from PyPI into environments that are gone afterwards, and must find the same number of trades: `agrees` says so, `rule` in
what a peer's fills differ. A peer that cannot be installed, fails or would take more than five minutes is listed with `error`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.bench.backtest import COIN, backtest_figures, walk
from tests.benchmarks import trade_memory
from tests.benchmarks.peers import PEERS, environment, run

BARS = (500_000, 5_000_000)


def measure(bars: Sequence[int], peers: Sequence[str]) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = []
    memory = trade_memory.measure()
    for count in bars:
        print(f"measuring {count:,} candles …", file=sys.stderr)
        reports.append(backtest_figures(count) | {"peers": {}, "trade_memory": memory})
    with tempfile.TemporaryDirectory(prefix="candles-") as folder:
        files = {count: save(count, Path(folder)) for count in bars}
        for name in peers:
            print(f"installing {name} …", file=sys.stderr)
            try:
                with environment(name) as python:
                    for report in reports:
                        report["peers"][name] = measure_peer(name, python, report, files[report["bars"]])
            except subprocess.SubprocessError as error:
                for report in reports:
                    report["peers"].setdefault(name, {"error": f"cannot be installed: {error}"})
    return reports


def measure_peer(name: str, python: Path, report: dict[str, Any], candles: Path) -> dict[str, Any]:
    if report["bars"] > PEERS[name].bars_max:
        return {"error": f"not asked: more than {PEERS[name].bars_max:,} candles take it more than five minutes"}
    print(f"measuring {name} …", file=sys.stderr)
    try:
        found = run(name, python, candles)
    except subprocess.SubprocessError as error:
        return {"error": str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]}
    return {
        "version": found["version"],
        "bars_s": round(report["bars"] / found["seconds"]),
        "trades": found["trades"],
        "agrees": found["trades"] == report["trades"],
        **({"rule": PEERS[name].rule} if PEERS[name].rule else {}),
    }


def save(count: int, folder: Path) -> Path:
    candles = walk(count, COIN, minutes_a_day=1440)
    path = folder / f"{count}.npy"
    np.save(path, np.stack((candles.open, candles.high, candles.low, candles.close), axis=1))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, nargs="*", default=BARS)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), metavar="NAME", help=f"of {', '.join(PEERS)}, or none")
    arguments = parser.parse_args()
    peers = [name for name in arguments.peers if name != "none"]
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"no peer named {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    for report in measure(arguments.bars, peers):
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
