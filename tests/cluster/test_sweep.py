"""A sweep on a real Ray: killed with SIGKILL in the middle, and a worker with it; the table is that of one process alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.actors.test_backtest import waves
from tests.actors.test_bias import HEAD
from tests.command_line import NOWHERE, REPOSITORY, shoal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

KILLS = """
    def __init__(self, *, every: int = 7):
        import os, pathlib
        self.every, self.count = every, 0
        driver = pathlib.Path(__file__).with_name("driver.pid")
        if every == 50 and driver.exists():
            os.kill(int(driver.read_text()), 9)
        once = pathlib.Path(__file__).with_name("worker")
        if every == 30 and once.exists():
            once.unlink()
            os.kill(os.getpid(), 9)
    def on_candle(self, candle, context):
        self.count += 1
        if self.count % self.every:
            return None
        side = Side.LONG if (self.count // self.every) % 2 else Side.SHORT
        return Target(side=side, rule="every", reason="", price=candle.close)
"""


async def test_a_sweep_on_ray_survives_its_own_end_and_that_of_a_worker(tmp_path: Path) -> None:
    waves(tmp_path, days=3)
    strategy = tmp_path / "every.py"
    strategy.write_text(HEAD + KILLS, encoding="utf-8")
    asked = [
        "sweep",
        str(strategy),
        "--candles",
        "BANKNIFTY_1m.csv",
        "--zone",
        "Asia/Kolkata",
        "--vary",
        "every=20:60:2",
        "--no-prune",
        "--json",
    ]
    environment = os.environ | NOWHERE | {"PYTHONPATH": str(REPOSITORY), "RAY_ADDRESS": ""}

    (tmp_path / "worker").touch()
    driver = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from actors.cli import main; main()", *asked, "--study", "one.jsonl",
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    (tmp_path / "driver.pid").write_text(str(driver.pid), encoding="utf-8")
    code = await driver.wait()
    (tmp_path / "driver.pid").unlink()
    kept = (tmp_path / "one.jsonl").read_text(encoding="utf-8").count('"trial"')

    resumed = await shoal(*asked, "--study", "one.jsonl", folder=tmp_path, RAY_ADDRESS="")
    alone = await shoal(*asked, "--study", "two.jsonl", "--workers", "here", folder=tmp_path)

    assert code == -signal.SIGKILL
    assert kept < 21
    assert resumed.code == 0, resumed.err
    assert resumed.out == alone.out
    assert not (tmp_path / "worker").exists()  # that worker did die
