"""Other backtesters at the same work, each in a throw-away environment of its own.

The work: EMA 9/21 reversal over one-minute candles, always in the market, fills at the next open, a fixed quantity of 1, a fee of
0.03 % of the notional on each side. A peer's script is run with its environment's Python and a file of candles (columns
open, high, low, close in numpy's .npy form, one-minute candles around the clock); it prints one JSON object: `version`,
`seconds` of the run alone (data handed over, before any report) and `trades`, the one still open included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
INSTALL_SECONDS_MAX, RUN_SECONDS_MAX = 600, 900


class Peer(msgspec.Struct, frozen=True):
    """`requirements` as pip takes them; `bars_max`: more than this would take more than five minutes.

    `rule`: in what its fills differ from the work as stated, where they do; the trades are the same ones.
    """

    requirements: tuple[str, ...]
    bars_max: int
    rule: str = ""


_AT_CLOSE = "fills at the close that led to the order"
PEERS = {
    "backtesting": Peer(("backtesting==0.6.6",), 5_000_000),
    "backtrader": Peer(("backtrader==1.9.78.123", "pandas<3"), 500_000),
    "vectorbt": Peer(("vectorbt", "setuptools<80"), 5_000_000),
    "bt": Peer(("bt", "pandas<3"), 5_000_000),
    "pybroker": Peer(("lib-pybroker",), 500_000),
    "nautilus": Peer(("nautilus_trader",), 500_000, _AT_CLOSE),
    "jesse": Peer(("jesse",), 500_000, _AT_CLOSE),
    "hftbacktest": Peer(("hftbacktest",), 5_000_000, "buys at the open and sells a tick below it: its market is a quote"),
}


@contextmanager
def environment(name: str) -> Iterator[Path]:
    """The Python of a fresh environment with the peer in it. Raises CalledProcessError when it cannot be installed."""
    with tempfile.TemporaryDirectory(prefix=f"peer-{name}-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS[name].requirements]
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS_MAX, stdout=sys.stderr)
        yield python


def run(name: str, python: Path, candles: Path) -> dict[str, Any]:
    """Raises CalledProcessError or TimeoutExpired when it fails, with what it said on standard error."""
    done = subprocess.run(
        [str(python), str(HERE / f"peer_{name}.py"), str(candles)],
        check=True,
        timeout=RUN_SECONDS_MAX,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
