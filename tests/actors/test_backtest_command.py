"""`shoal backtest`, `backtests` and `check-bias` as a user meets them: files, tables, messages, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapters.embedded import EmbeddedServers
from tests.actors.test_backtest import waves
from tests.actors.test_bias import HEAD, HONEST, REMEMBERS_THE_LAST_RUN
from tests.command_line import shoal, shoal_here

ASKED = ("--candles", "BANKNIFTY_1m.csv", "--zone", "Asia/Kolkata", "--set", "fast_period=2", "--set", "slow_period=4")


def test_a_backtest_writes_its_files_and_prints_what_it_found(tmp_path: Path) -> None:
    waves(tmp_path)
    ran = shoal_here("backtest", "ema_cross", *ASKED, "--report", "r.html", "--trades", "t.parquet", "--quantity", "10", folder=tmp_path)

    assert ran.code == 0, ran.err
    assert "BANKNIFTY_1m.csv: 1,125 of 1,125 rows used" in " ".join(ran.err.split())
    assert "a row carries its candle's start" in " ".join(ran.err.split())
    for said in ("net profit", "Sharpe", "REVERSAL", "filled at the next candle's open", "written: r.html", "not stored"):
        assert said in ran.out
    assert len(pd.read_parquet(tmp_path / "t.parquet")) > 50
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_finer_candles_are_read_and_said(tmp_path: Path) -> None:
    minutes = pd.read_csv(waves(tmp_path), index_col="timestamp", parse_dates=True)
    rules = {"open": "first", "high": "max", "low": "min", "close": "last"}
    minutes.resample("15min", origin="2024-01-01 09:15").agg(rules).dropna().to_csv(tmp_path / "BANKNIFTY_15m.csv")
    asked = (
        "backtest",
        "ema_cross",
        "--candles",
        "BANKNIFTY_15m.csv",
        "--zone",
        "Asia/Kolkata",
        "--set",
        "fast_period=2",
        "--set",
        "slow_period=4",
    )
    bracket = ("--data", '{"protection": {"stop": {"value": 0.05}, "target": {"value": 0.05}}}')
    ran = shoal_here(*asked, *bracket, "--finer", "BANKNIFTY_1m.csv", "--json", folder=tmp_path)
    alone = shoal_here(*asked, *bracket, "--json", folder=tmp_path)

    assert ran.code == 0, ran.err
    assert (
        "In 75 of 75 candles the order of prices is that of candles of 1m; in the others the stop comes first." in ran.json["assumptions"]
    )
    assert ran.json["fingerprint"] != alone.json["fingerprint"]
    assert ran.json["metrics"]["net_profit"] > alone.json["metrics"]["net_profit"]  # the stop is the worse of the two guesses


async def test_json_is_all_that_standard_output_holds_and_is_equal_for_equal_runs(tmp_path: Path) -> None:
    waves(tmp_path)
    first, second = [await shoal("backtest", "ema_cross", *ASKED, "--no-save", "--json", folder=tmp_path) for _ in range(2)]

    assert (first.code, first.err) == (0, "")
    assert first.out == second.out
    assert first.json["metrics"]["trades"] > 50
    assert (first.json["bars"], first.json["stored"], first.json["parameters"]) == (1_125, None, {"fast_period": 2, "slow_period": 4})
    assert first.json["quality"] == {
        "source": "BANKNIFTY_1m.csv", "rows": 1_125, "used": 1_125, "label": "start", "notes": [], "findings": [],
    }  # fmt: skip


def test_bad_rows_are_told_with_count_and_example_before_the_result(tmp_path: Path) -> None:
    file = waves(tmp_path)
    with file.open("a", encoding="utf-8") as rows:
        rows.write("2024-01-03 16:30:00,1,1,1,1\n2024-01-03 15:29:00,5,5,-5,5\n")
    ran = shoal_here("backtest", "ema_cross", *ASKED, "--json", folder=tmp_path)

    assert {found["problem"]: found["count"] for found in ran.json["quality"]["findings"]} == {
        "NaN, infinite, zero or negative value": 1,
        "outside the exchange session": 1,
    }
    assert (shoal_here("backtest", "ema_cross", *ASKED, folder=tmp_path)).err.count("2024-01-03T16:30:00") == 1


def test_results_are_kept_listed_compared_and_deleted(tmp_path: Path, servers: EmbeddedServers, database: str) -> None:
    waves(tmp_path)
    running = {"REDIS_URL": servers.urls.redis, "MONGODB_URL": servers.urls.mongodb}

    def run(*more: str) -> Any:
        return (shoal_here("backtest", "ema_cross", *ASKED, *more, "--json", folder=tmp_path, **running)).json

    one, again, other = run(), run(), run("--fees", "none")
    assert one["stored"] == again["stored"] == one["fingerprint"][:16] != other["stored"]

    listed = (shoal_here("backtests", "--json", folder=tmp_path, **running)).json
    ids = [result["id"] for result in listed]
    assert ids.count(one["stored"]) == 1
    assert set(ids) >= {one["stored"], other["stored"]}

    compared = shoal_here("backtests", one["stored"][:10], other["stored"][:10], folder=tmp_path, **running)
    assert "session.fees" in compared.out
    assert "flat:0.0003" in compared.out
    assert "session.capital" not in compared.out  # equal, so not worth a line
    shown = shoal_here("backtests", one["stored"], "--json", folder=tmp_path, **running)
    assert shown.json[0]["metrics"] == one["metrics"]
    assert shown.json[0]["summary"]["assumptions"] == one["assumptions"]

    deleted = shoal_here("backtests", one["stored"], other["stored"], "--delete", folder=tmp_path, **running)
    assert (deleted.code, deleted.out) == (0, f"deleted {one['stored']}, {other['stored']}\n")
    gone = shoal_here("backtests", one["stored"], folder=tmp_path, **running)
    assert (gone.code, "fits 0 of the stored ones" in gone.err) == (2, True)


def test_a_result_is_kept_without_a_running_system_when_asked_to(tmp_path: Path) -> None:
    waves(tmp_path)
    kept = shoal_here("backtest", "ema_cross", *ASKED, "--save", "--json", folder=tmp_path)
    listed = shoal_here("backtests", folder=tmp_path)

    assert (kept.code, kept.err) == (0, "")
    assert kept.json["stored"] in listed.out
    assert "1 results" in listed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backtest", "moon", *ASKED), "strategy = 'moon': is not known"),
        (("backtest", "ema_cross", "--candles", "absent.csv"), "--candles = 'absent.csv': is not a file"),
        (("backtest", "ema_cross", "--candles", "moon:NSE:NIFTY"), "is neither a file nor a known source"),
        (("backtest", "ema_cross", *ASKED[:2]), "time zone = None: the times of BANKNIFTY_1m.csv carry none: say it, such as --zone"),
        (("backtest", "ema_cross", *ASKED, "--set", "fast_period=0"), "ema_cross.fast_period = 0"),
        (("backtest", "ema_cross", *ASKED, "--set", "fast_period"), "write KEY=VALUE"),
        (("backtest", "ema_cross", *ASKED, "--capital", "much"), "--capital = 'much': is not a number"),
        (("backtest", "ema_cross", *ASKED, "--capital", "NaN"), "--capital = 'NaN': is not a number"),
        (("backtest", "ema_cross", *ASKED, "--fill", "best"), "--fill = 'best': must be one of next_open, close"),
        (("backtest", "ema_cross", *ASKED, "--lane", "fast"), "--lane = 'fast': must be one of exact, screening"),
        (("backtest", "ema_cross", *ASKED, "--label", "middle"), "--label = 'middle': must be one of start, end"),
        (("backtest", "ema_cross", *ASKED, "--timeframe", "7m"), "--timeframe = '7m': must be one of 1m"),
        (("backtest", "ema_cross", *ASKED, "--kind", "COIN"), "--kind = 'COIN': must be one of INDEX"),
        (("backtest", "ema_cross", *ASKED, "--from", "2024-02-01", "--to", "2024-01-01"), "must not be before --from 2024-02-01"),
        (("backtest", "ema_cross", *ASKED, "--from", "2025-01-01"), "no candle lies between these dates"),
        (("backtest", "ema_cross", *ASKED, "--report", "absent/r.html"), "--report = 'absent/r.html'"),
        (("backtest", "ema_cross", *ASKED, "--trades", "t.xls"), "must end with one of .parquet"),
        (("backtest", "ema_cross", *ASKED, "--data", "[1]"), "must be a JSON object"),
        (("backtests", "--delete"), "name the results to delete"),
        (("check-bias", "moon", *ASKED), "strategy = 'moon': is not known"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    waves(tmp_path, days=1)
    ran = shoal_here(*arguments, *(() if arguments[0] == "backtests" else ("--json",)), folder=tmp_path)

    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_without_a_database_the_list_says_what_to_do(tmp_path: Path) -> None:
    ran = shoal_here("backtests", folder=tmp_path)
    assert (ran.code, "nothing is running here" in ran.err) == (1, True)


def test_bias_is_an_exit_code_and_a_place(tmp_path: Path) -> None:
    waves(tmp_path)
    (tmp_path / "honest.py").write_text(HEAD + HONEST, encoding="utf-8")
    (tmp_path / "cheat.py").write_text(HEAD + REMEMBERS_THE_LAST_RUN, encoding="utf-8")

    honest = shoal_here("check-bias", "honest.py:Cheat", *ASKED[:4], folder=tmp_path)
    cheat = shoal_here("check-bias", "cheat.py", *ASKED[:4], "--json", folder=tmp_path)

    assert honest.code == 0
    assert "20 cuts change no decision" in honest.out
    assert "warm-up needed: 0 candles" in honest.out
    assert (cheat.code, cheat.json["biased"], len(cheat.json["memory"])) == (1, True, 5)


def test_every_command_shows_examples(tmp_path: Path) -> None:
    for command in ("backtest", "backtests", "check-bias"):
        ran = shoal_here(command, "--help", folder=tmp_path)
        assert (ran.code, "Examples" in ran.out, f"shoal {command}" in ran.out) == (0, True, True)


def test_the_summary_is_json_throughout(tmp_path: Path) -> None:
    from actors.backtest import backtest

    run = backtest("ema_cross", waves(tmp_path), zone="Asia/Kolkata")
    assert json.loads(json.dumps(run.summary(), allow_nan=False)) == run.summary()
