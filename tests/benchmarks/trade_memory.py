"""Peak memory of the exact lane against the number of its trades, in memory and on disk. Run: `python -m tests.benchmarks.trade_memory`.

The same candles each time, turned round every 20, 4 and 2 of them: once, five and ten times the trades. Every figure is of a
process of its own. Prints one JSON object: `bars`, and per run `trades`, `kept` (`memory` or `disk`) and `rss_mb`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from actors.bench.backtest import COIN, reversal, walk
from adapters.trade_folder import TradeFolder
from runtime.backtest.run import run_backtest
from runtime.compiled import kernel
from runtime.kernel_strategy import Bar, KernelStrategy, side_of
from runtime.kernels import State
from runtime.market import Candle
from runtime.signals import Target
from runtime.strategy import MarketContext

BARS = 200_000
TURNS = (20, 4, 2)


@kernel
def turn(state: State, parameters: Sequence[float], values: State, bar: Bar) -> int:
    state[0] += 1.0
    values[0] = bar.close
    return 1 if state[0] // parameters[0] % 2.0 == 0.0 else -1


class Turning(KernelStrategy):
    """Long for so many candles, then short for as many."""

    name: ClassVar[str] = "turning"
    rules = ("turn",)
    columns = ("close",)
    step = staticmethod(turn)

    def __init__(self, candles: int) -> None:
        super().__init__((candles,), state_size=1)

    def explain(self, code: int, values: Sequence[float], candle: Candle, context: MarketContext) -> Target:
        del values, context
        return Target(side=side_of(code), rule="turn", reason="it is time", price=candle.close)


def measure() -> dict[str, Any]:
    runs: list[dict[str, Any]] = []
    for kept in ("memory", "disk"):
        for candles in TURNS:
            print(f"a turn every {candles} candles, trades in {kept} …", file=sys.stderr)
            command = [sys.executable, "-m", "tests.benchmarks.trade_memory", str(candles), kept]
            runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {"bars": BARS, "runs": runs}


def measure_one(candles: int, kept: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="trades-") as folder:
        trades = TradeFolder(Path(folder) / "trades") if kept == "disk" else None
        result = run_backtest(reversal(), walk(BARS, COIN, minutes_a_day=1440), Turning(candles), kept=trades)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"trades": len(result.trades), "kept": kept, "rss_mb": round(peak, 1)}


if __name__ == "__main__":
    asked = sys.argv[1:]
    print(json.dumps(measure_one(int(asked[0]), asked[1]) if asked else measure(), indent=2))
