"""Every way in which files write times, and the questions that only a user can answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from adapters.candle_files import Problem, read_candles
from adapters.candle_files.times import convert
from configs.calendar import load_calendar
from runtime.errors import InvalidMarketData
from runtime.market import IST, Timeframe
from tests.builders import at

NSE = load_calendar()
NEW_YORK = ZoneInfo("America/New_York")
FIRST = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)  # 09:15 in India
PRICES = "100,101,99,100"


def csv(folder: Path, column: str, *times: object, name: str = "NIFTY.csv") -> Path:
    file = folder / name
    file.write_text(f"{column},Open,High,Low,Close\n" + "".join(f"{time},{PRICES}\n" for time in times), encoding="utf-8")
    return file


EPOCH = int(FIRST.timestamp())


@pytest.mark.parametrize(
    ("column", "times"),
    [
        ("timestamp", [EPOCH, EPOCH + 60]),
        ("open_time", [EPOCH * 1000, (EPOCH + 60) * 1000]),
        ("ts", [EPOCH * 10**6, (EPOCH + 60) * 10**6]),
        ("time", [EPOCH * 10**9, (EPOCH + 60) * 10**9]),
        ("datetime", ["2026-11-20T03:45:00Z", "2026-11-20T03:46:00Z"]),
        ("Datetime", ["2026-11-20 09:15:00+05:30", "2026-11-20 09:16:00+05:30"]),
        ("date", ["2026-11-19T22:45:00-0500", "2026-11-19T22:46:00-0500"]),
        ("ts_utc", ["2026-11-20 03:45:00", "2026-11-20 03:46:00"]),
    ],
)
def test_times_that_say_their_zone_become_those_of_the_exchange(tmp_path: Path, column: str, times: list[object]) -> None:
    file = read_candles(csv(tmp_path, column, *times), calendar=NSE)

    assert [candle.opened_at for candle in file.candles()] == [at("09:15"), at("09:16")]
    assert (file.zone, file.report.count(Problem.OFF_SESSION)) == (IST, 0)


@pytest.mark.parametrize(
    "times",
    [
        ["2026-11-20 09:15:00", "2026-11-20 09:16:00"],
        ["2026-11-20 09:15", "2026-11-20 09:16"],
        ["2026-11-20T09:15:00.000", "2026-11-20T09:16:00.000"],
        ["20-11-2026 09:15", "20-11-2026 09:16"],
        ["20/11/2026 09:15:00", "20/11/2026 09:16:00"],
        ["11/20/2026 09:15:00", "11/20/2026 09:16:00"],
        ["20-Nov-2026 09:15", "20-Nov-2026 09:16"],
    ],
)
def test_times_without_a_zone_are_asked_for_and_taken_as_told(tmp_path: Path, times: list[str]) -> None:
    file = csv(tmp_path, "Date", *times)

    with pytest.raises(InvalidMarketData, match=r"time zone = None: the times of NIFTY.csv carry none: say it, such as --zone"):
        read_candles(file, calendar=NSE)
    told = read_candles(file, calendar=NSE, zone=IST)
    assert [candle.opened_at for candle in told.candles()] == [at("09:15"), at("09:16")]


def test_day_and_time_of_day_may_stand_in_two_columns(tmp_path: Path) -> None:
    file = tmp_path / "NIFTY.csv"
    file.write_text(f"Date,Time,O,H,L,C,Vol\n2026-11-20,09:15,{PRICES},7\n2026-11-20,09:16,{PRICES},8\n", encoding="utf-8")

    candles = list(read_candles(file, calendar=NSE, zone=IST).candles())
    assert [(candle.opened_at, candle.volume) for candle in candles] == [(at("09:15"), 7.0), (at("09:16"), 8.0)]


def test_a_date_that_reads_both_ways_is_a_question(tmp_path: Path) -> None:
    with pytest.raises(InvalidMarketData, match=r"fit %d/%m/%Y.* and %m/%d/%Y.*: write the year first"):
        read_candles(csv(tmp_path, "Date", "05/11/2026 09:15", "06/11/2026 09:15"), zone=IST)


def test_times_that_are_none_are_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(InvalidMarketData, match=r"times = 'soon': of date in NIFTY.csv cannot be read"):
        read_candles(csv(tmp_path, "Date", "soon", "later"), zone=IST)


def test_a_frame_saved_by_pandas_is_read_with_its_index(tmp_path: Path) -> None:
    index = pd.date_range("2026-11-20 09:15", periods=3, freq="min", tz="Asia/Kolkata")
    frame = pd.DataFrame({"Open": 100.0, "High": 101.0, "Low": 99.0, "Close": 100.0, "Volume": 5}, index=index)
    frame.to_parquet(tmp_path / "NIFTY.parquet")
    frame.to_csv(tmp_path / "NIFTY.csv")

    for name in ("NIFTY.parquet", "NIFTY.csv"):
        file = read_candles(tmp_path / name, calendar=NSE)
        assert [candle.opened_at for candle in file.candles()] == [at("09:15"), at("09:16"), at("09:17")]


def test_round_the_clock_candles_stay_in_their_own_zone_and_become_columns(tmp_path: Path) -> None:
    file = read_candles(csv(tmp_path, "timestamp", EPOCH, EPOCH + 60, name="BTCUSDT.csv"), "BTC/USDT")
    array = file.array()

    assert (file.zone, array.instrument, array.opened_at.tolist()) == (UTC, "BTC/USDT", [EPOCH, EPOCH + 60])
    assert array.close.tolist() == [100.0, 100.0]


def test_wall_clocks_are_converted_over_the_change_of_clocks_in_spring() -> None:
    # New York went from UTC-5 to UTC-4 on 2026-03-08 at 02:00.
    wall = np.array(["2026-03-06T16:00", "2026-03-09T09:30"], "datetime64[s]")

    assert convert(wall, NEW_YORK, UTC).astype(str).tolist() == ["2026-03-06T21:00:00", "2026-03-09T13:30:00"]
    assert convert(convert(wall, NEW_YORK, IST), IST, NEW_YORK).tolist() == wall.tolist()
    assert convert(wall, IST, UTC)[0] == wall[0] - np.timedelta64(timedelta(hours=5, minutes=30))


def test_a_session_that_begins_on_the_evening_before_is_one_session(tmp_path: Path) -> None:
    # CME: 17:00 to 16:00 of the next day, in Chicago; 16:30 is in the pause.
    clocks = ["2026-11-19 16:30:00", "2026-11-19 17:00:00", "2026-11-19 17:01:00", "2026-11-20 15:59:00"]
    file = read_candles(
        csv(tmp_path, "Date", *clocks), "CME:MES", calendar=load_calendar("cme"), zone=ZoneInfo("America/Chicago"), timeframe=Timeframe.M1
    )

    report = file.report
    assert [f"{candle.opened_at:%d %H:%M}" for candle in file.candles()] == ["19 17:00", "19 17:01", "20 15:59"]
    assert report.findings[Problem.OFF_SESSION].examples == ("2026-11-19T16:30:00",)
    assert report.findings[Problem.SHORT_SESSION].examples == ("2026-11-20: 3 of 1380",)
    assert report.findings[Problem.GAP].examples == ("2026-11-19 17:02 to 15:58 (1377)",)
