"""Honest strategies pass; one that cheats in each way it could is caught at it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actors.bias import BiasReport, BiasRequest, check_bias
from configs.calendar import load_calendar
from runtime.backtest.candle_array import CandleArray
from runtime.errors import InvalidConfig
from tests.adapters.backtest_report.results import candles

CANDLES = candles(1_500)
HEAD = """
import sys
from typing import ClassVar
from runtime.signals import Side, Target
from runtime.backtest.candle_array import CandleArray

def long_if(condition, candle):
    return Target(side=Side.LONG, rule="cheat", reason="", price=candle.close) if condition else None

class Cheat:
    name: ClassVar[str] = "cheat"
    def describe(self):
        return {}
"""
PEEKS_AT_ITS_CALLER = """
    def on_candle(self, candle, context):
        frame = sys._getframe(1)
        while not isinstance(frame.f_locals.get("candles"), CandleArray):
            frame = frame.f_back
        ahead = frame.f_locals["candles"]
        row = int(ahead.opened_at.searchsorted(candle.opened_at.timestamp())) + 1
        return long_if(row < len(ahead) and ahead.close[row] > candle.close, candle)
"""
REMEMBERS_THE_LAST_RUN = """
    seen = {}
    def on_candle(self, candle, context):
        self.seen[candle.opened_at] = candle.close
        later = self.seen.get(candle.closed_at)
        return long_if(later is not None and later > candle.close, candle)
"""
READS_A_FILE = """
    def __init__(self):
        with open({path!r}) as file:
            self.days = set(file.read().split())
    def on_candle(self, candle, context):
        return long_if(str(candle.opened_at.date()) in self.days, candle)
"""
HONEST = """
    def on_candle(self, candle, context):
        return long_if(candle.close > candle.open, candle)
"""
FAILS = """
    def on_candle(self, candle, context):
        raise KeyError("missing")
"""


def checked(folder: Path, body: str, **more: int) -> BiasReport:
    file = folder / "cheat.py"
    file.write_text(HEAD + body, encoding="utf-8")
    return check_bias(BiasRequest(strategy=str(file), **more), CANDLES, load_calendar())


def test_a_strategy_that_looks_at_the_next_candle_is_caught(tmp_path: Path) -> None:
    report = checked(tmp_path, PEEKS_AT_ITS_CALLER)

    assert report.is_biased
    assert len(report.look_ahead) == 5
    # A cut leaves no next candle to look at: what was a signal with all candles is none without them.
    assert {(found.whole, found.other) for found in report.look_ahead} == {("LONG by cheat", "no signal")}


def test_a_strategy_that_remembers_an_earlier_run_is_caught(tmp_path: Path) -> None:
    report = checked(tmp_path, REMEMBERS_THE_LAST_RUN)

    assert (report.look_ahead, len(report.memory), report.is_biased) == ((), 5, True)


def test_a_strategy_that_reads_a_file_is_caught(tmp_path: Path) -> None:
    days = tmp_path / "good_days.txt"
    days.write_text("2024-01-02", encoding="utf-8")
    report = checked(tmp_path, READS_A_FILE.format(path=str(days)))

    assert (report.look_ahead, report.memory, report.outside) == ((), (), (f"open {days}",))
    assert report.is_biased


def test_an_honest_strategy_without_a_past_needs_no_warm_up(tmp_path: Path) -> None:
    report = checked(tmp_path, HONEST)

    assert (report.is_biased, report.warm_up_needed, report.candles) == (False, 0, 1_500)
    assert report.signals == int((CANDLES.close > CANDLES.open).sum())
    assert {run.compared for run in report.warm_up} == {375}


def test_built_in_strategies_are_honest_and_tell_their_warm_up() -> None:
    cross = check_bias(BiasRequest(strategy="ema_cross", parameters={"fast_period": "5", "slow_period": "60"}), CANDLES, load_calendar())
    scalper = check_bias(BiasRequest(strategy="index_options_scalper"), CANDLES, load_calendar())

    assert (cross.is_biased, scalper.is_biased) == (False, False)
    assert scalper.signals > 10
    # The slow average is silent for its first 59 candles, so 50 before the compared ones cannot be enough.
    runs = {run.candles: run.differing for run in cross.warm_up}
    assert runs[0] >= 59
    assert runs[50] >= 9
    assert cross.warm_up_needed is not None
    assert cross.warm_up_needed >= 100


def test_an_average_of_all_history_never_settles(tmp_path: Path) -> None:
    counts = """
    def __init__(self):
        self.count = 0
    def on_candle(self, candle, context):
        self.count += 1
        return long_if(self.count % 7 == 0, candle)
"""
    report = checked(tmp_path, counts)
    assert (report.is_biased, report.warm_up_needed) == (False, None)


def test_the_same_seed_cuts_at_the_same_places(tmp_path: Path) -> None:
    assert checked(tmp_path, PEEKS_AT_ITS_CALLER, seed=3) == checked(tmp_path, PEEKS_AT_ITS_CALLER, seed=3)
    assert checked(tmp_path, PEEKS_AT_ITS_CALLER, seed=3) != checked(tmp_path, PEEKS_AT_ITS_CALLER, seed=4)


def test_only_the_newest_candles_are_looked_at(tmp_path: Path) -> None:
    report = checked(tmp_path, HONEST, candles_max=100, points=4)
    assert (report.candles, report.points) == (100, 4)
    assert report.signals == int((CANDLES.close > CANDLES.open)[-100:].sum())


def test_a_strategy_that_fails_is_named_with_the_candle(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"strategy = 'cheat': fails on the candle of 2024-01-01 09:15.*KeyError: 'missing'"):
        checked(tmp_path, FAILS)


def test_candles_without_a_calendar_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "honest.py"
    file.write_text(HEAD + HONEST, encoding="utf-8")
    prices = np.tile([100.0, 101.0, 99.0, 100.5], (200, 1))
    array = CandleArray.of("BTC/USDT", CANDLES.timeframe, CANDLES.zone, 60 * np.arange(200), prices)

    assert check_bias(BiasRequest(strategy=str(file)), array, None).signals == 200
