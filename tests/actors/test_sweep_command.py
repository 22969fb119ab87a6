"""`shoal sweep` and `shoal walk-forward`: tables, files, kept results, wrong questions, and a kill in the middle."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from adapters.embedded import EmbeddedServers
from tests.actors.test_backtest import waves
from tests.actors.test_bias import HEAD
from tests.actors.test_sweep import EVERY
from tests.command_line import shoal, shoal_here

CANDLES = ("--candles", "BANKNIFTY_1m.csv", "--zone", "Asia/Kolkata")
VARIED = ("--vary", "fast_period=2:6:2", "--vary", "slow_period=6,12", "--workers", "here")
DIES = """
    def __init__(self, *, every: int = 7):
        import os, pathlib
        if every == 45 and not pathlib.Path("survive").exists():
            os.kill(os.getpid(), 9)
"""


def test_a_sweep_shows_its_table_heat_map_and_verdict(tmp_path: Path) -> None:
    waves(tmp_path, days=6)
    ran = shoal_here("sweep", "ema_cross", *CANDLES, *VARIED, "--report", "sweep.html", folder=tmp_path)

    assert ran.code == 0, ran.err
    for said in (
        "fast_period ↓ slow_period →",
        "5 trials complete, 0 pruned, 1 impossible; screening lane",
        "trials",
        "written: sweep.html",
    ):
        assert said in ran.out
    assert "<title>ema_cross: fast_period" in (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / ".shoal" / "studies").iterdir())) == 1


def test_a_finished_sweep_is_told_again_from_its_study_and_kept_once(tmp_path: Path, servers: EmbeddedServers, database: str) -> None:
    waves(tmp_path, days=6)
    running = {"REDIS_URL": servers.urls.redis, "MONGODB_URL": servers.urls.mongodb}
    asked = ("sweep", "ema_cross", *CANDLES, *VARIED, "--study", "mine.jsonl", "--json")
    first, again = (shoal_here(*asked, folder=tmp_path, **running) for _ in range(2))

    assert first.out == again.out
    assert [row["status"] for row in first.json["table"]] == ["complete"] * 5 + ["invalid"]
    listed = shoal_here("backtests", first.json["stored"], "--json", folder=tmp_path, **running).json
    assert (listed[0]["kind"], listed[0]["summary"]["best"]) == ("sweep", first.json["best"])
    shoal_here("backtests", first.json["stored"], "--delete", folder=tmp_path, **running)

    other = shoal_here(*asked, "--objective", "net", folder=tmp_path, **running)
    assert (other.code, "holds another study" in other.err) == (2, True)
    assert shoal_here(*asked, "--objective", "net", "--restart", "--no-save", folder=tmp_path, **running).code == 0


def test_a_walk_forward_shows_its_windows(tmp_path: Path) -> None:
    waves(tmp_path, days=8)
    asked = ("walk-forward", "ema_cross", *CANDLES, *VARIED, "--train", "4", "--test", "2")
    ran = shoal_here(*asked, "--report", "walk.html", folder=tmp_path)
    as_json = shoal_here(*asked, "--json", folder=tmp_path).json

    assert ran.code == 0, ran.err
    for said in ("train from", "2024-01-05", "net profit", "walk-forward efficiency", "written: walk.html"):
        assert said in ran.out
    assert [row["test_from"] for row in as_json["table"]] == ["2024-01-05", "2024-01-09"]
    assert as_json["metrics"]["trades"] == sum(row["test_trades"] for row in as_json["table"])


async def test_a_sweep_that_was_killed_goes_on_and_ends_with_the_same_table(tmp_path: Path) -> None:
    waves(tmp_path, days=3)
    (tmp_path / "dies.py").write_text(HEAD + EVERY.replace("    def __init__", DIES + "    def __init__", 1).replace(
        "    def __init__(self, *, every: int = 7, offset: int = 0):\n        self.every, self.offset, self.count = every, offset, 0\n",
        "        self.every, self.offset, self.count = every, 0, 0\n"), encoding="utf-8")  # fmt: skip
    asked = ("sweep", "dies.py", *CANDLES, "--vary", "every=20:60:5", "--no-prune", "--workers", "here", "--json")

    killed = await shoal(*asked, "--study", "one.jsonl", folder=tmp_path)
    kept = (tmp_path / "one.jsonl").read_text(encoding="utf-8").count('"trial"')
    (tmp_path / "survive").touch()
    resumed = await shoal(*asked, "--study", "one.jsonl", folder=tmp_path)
    whole = await shoal(*asked, "--study", "two.jsonl", folder=tmp_path)

    assert (killed.code, killed.out) == (-signal.SIGKILL, "")
    assert 1 <= kept <= 8
    assert resumed.code == 0, resumed.err
    assert resumed.out == whole.out
    assert len(json.loads(whole.out)["table"]) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--vary = None: name at least one parameter"),
        (("--vary", "fast_period"), "--vary = 'fast_period': write it as NAME=FROM:TO:STEP"),
        (("--vary", "fast=1:3"), "ema_cross.fast = 1: is not a parameter"),
        (("--vary", "fast_period=1:3", "--set", "fast_period=2"), "is set and varied at once"),
        (("--vary", "fast_period=2:4", "--method", "guess"), "--method = 'guess': must be one of grid, random, tpe"),
        (("--vary", "fast_period=2:4", "--objective", "luck"), "--objective = 'luck': must be one of sharpe, net"),
        (("--vary", "fast_period=2:4", "--out-of-sample", "1.5"), "is a share of the days"),
        (("--vary", "fast_period=1:5000", "--vary", "slow_period=1:5000"), "a grid has at most 1,000,000"),
        (("--vary", "fast_period=30:40", "--workers", "here"), "not one trial could be run"),
        (("--vary", "fast_period=2:4", "--report", "absent/x.html"), "--report = 'absent/x.html'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    waves(tmp_path, days=3)
    ran = shoal_here("sweep", "ema_cross", *CANDLES, *arguments, "--json", folder=tmp_path)

    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_training_on_all_days_leaves_nothing_to_walk_to(tmp_path: Path) -> None:
    waves(tmp_path, days=3)
    ran = shoal_here("walk-forward", "ema_cross", *CANDLES, *VARIED, "--train", "3", "--json", folder=tmp_path)
    assert (ran.code, "leaves nothing to test on: there are 3 trading days" in ran.err) == (2, True)


@pytest.mark.parametrize("command", ["sweep", "walk-forward"])
def test_help_has_examples(tmp_path: Path, command: str) -> None:
    ran = shoal_here(command, "--help", folder=tmp_path)
    assert (ran.code, "Examples" in ran.out, f"shoal {command}" in ran.out) == (0, True, True)
