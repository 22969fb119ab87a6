"""Every recorded bad file, and small ones made by hand, with exactly what must be reported."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.candle_files import Problem, read_candles
from configs.calendar import load_calendar
from runtime.errors import InvalidMarketData
from runtime.market import Timeframe
from tests.builders import at
from tests.shared_data import shared

NSE = load_calendar()
WHOLE = "nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet"
DAY = date(2026, 11, 20)
HEADER = "Instrument,Date,Time,Open,High,Low,Close\n"


def line(clock: str, prices: str = "100,101,99,100.5", symbol: str = "BANKNIFTY", day: str = "20261120") -> str:
    return f"{symbol},{day},{clock},{prices}\n"


def write(folder: Path, text: str, name: str = "BANKNIFTY_1m.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_bar_twice_is_read_once() -> None:
    file = read_candles(shared("bad_samples/BANKNIFTY_2016-07-01_every_bar_twice.txt"), calendar=NSE)

    assert (file.report.rows, file.report.used, file.report.label) == (750, 375, "end")
    assert file.report.count(Problem.EXACT_DUPLICATE) == 375
    assert file.report.count(Problem.OUT_OF_ORDER) == 1  # the second copy begins again at 09:16
    assert set(file.report.findings) == {Problem.EXACT_DUPLICATE, Problem.OUT_OF_ORDER}
    first = file.days[date(2016, 7, 1)][0]
    assert (file.instrument, first.opened_at, first.open, first.close, first.volume) == (
        "NSE:BANKNIFTY",
        at("09:15", date(2016, 7, 1)),
        18018.45,
        17990.25,
        45,
    )


def test_end_labels_are_shifted_and_prints_outside_the_session_dropped() -> None:
    file = read_candles(shared("bad_samples/BANKNIFTY_2020-01-01_preopen_and_postclose_prints_end_labels.txt"), calendar=NSE)

    assert (file.report.rows, file.report.used, file.report.label) == (378, 375, "end")
    assert file.report.notes == [
        "rows carry the END of their candle: shifted by 1m to starts",
        "volume is zero throughout: taken as not reported",
    ]
    assert file.report.findings[Problem.OFF_SESSION].examples == ("2020-01-01T09:07:00", "2020-01-01T15:30:00", "2020-01-01T15:32:00")
    assert set(file.report.findings) == {Problem.OFF_SESSION}
    candles = file.days[date(2020, 1, 1)]
    assert [candles[0].opened_at, candles[-1].opened_at] == [at("09:15", date(2020, 1, 1)), at("15:29", date(2020, 1, 1))]
    assert candles[0].volume is None


def test_the_day_of_the_exchange_outage_keeps_both_parts_and_reports_the_hole() -> None:
    file = read_candles(shared("bad_samples/BANKNIFTY_2021-02-24_NSE_outage_halt.txt"), calendar=NSE)

    assert (file.report.rows, file.report.used, file.report.label) == (133, 128, "end")
    assert file.report.count(Problem.OFF_SESSION) == 5
    assert file.report.count(Problem.GAP) == 92
    assert file.report.findings[Problem.GAP].examples == ("2021-02-24 10:08 to 11:39 (92)",)
    assert file.report.findings[Problem.SHORT_SESSION].examples == ("2021-02-24: 128 of 220",)


def test_a_muhurat_evening_is_a_whole_session() -> None:
    file = read_candles(shared("bad_samples/BANKNIFTY_2022-10-24_muhurat_evening_session.txt"), calendar=NSE)

    assert (file.report.rows, file.report.used, file.report.label) == (63, 60, "end")
    assert file.report.findings[Problem.OFF_SESSION].examples == ("2022-10-24T18:07:00", "2022-10-24T19:15:00", "2022-10-24T19:17:00")
    assert set(file.report.findings) == {Problem.OFF_SESSION}


def test_a_saturday_session_is_kept_and_its_closing_prints_are_not() -> None:
    path = shared("bad_samples/BANKNIFTY_20240120_saturday_full_session_542_rows_to_1816_instrument_says_NIFTY.csv")
    file = read_candles(path, "NSE:BANKNIFTY", calendar=NSE, trust_name=True)

    assert (file.report.rows, file.report.used, file.report.label) == (542, 375, "start")
    assert file.report.count(Problem.OFF_SESSION) == 167
    assert file.report.findings[Problem.WRONG_INSTRUMENT].examples == ("NIFTY read as NSE:BANKNIFTY",)
    assert set(file.report.findings) == {Problem.OFF_SESSION, Problem.WRONG_INSTRUMENT}


def test_a_drill_in_two_parts_has_no_gap() -> None:
    path = shared("bad_samples/BANKNIFTY_20240302_dr_drill_two_part_session_105_rows_instrument_says_NIFTY.csv")
    file = read_candles(path, calendar=NSE, trust_name=True)

    assert (file.instrument, file.report.rows, file.report.used) == ("NSE:BANKNIFTY", 105, 105)
    assert set(file.report.findings) == {Problem.WRONG_INSTRUMENT}


@pytest.mark.parametrize("asked", [None, "NSE:BANKNIFTY"])
def test_a_column_that_names_another_instrument_is_refused_unless_the_name_is_trusted(asked: str | None) -> None:
    path = shared("bad_samples/BANKNIFTY_20240302_dr_drill_two_part_session_105_rows_instrument_says_NIFTY.csv")
    with pytest.raises(InvalidMarketData, match=r"instrument column = 'NIFTY'.*NSE:BANKNIFTY.*trust_name=True"):
        read_candles(path, asked, calendar=NSE)


def test_the_whole_recorded_series_and_what_is_wrong_with_it() -> None:
    file = read_candles(shared(WHOLE), calendar=NSE)

    assert (file.report.rows, file.report.used, len(file.day_rows)) == (851_788, 851_116, 2_276)
    assert (file.report.label, file.timeframe, file.volume) == ("start", Timeframe.M1, None)
    assert file.report.count(Problem.OFF_SESSION) == 8
    # On 2015-03-30 from 09:55 and 2015-06-24 from 09:18 the file holds some other instrument near 1,500.
    assert file.report.count(Problem.LEVEL_JUMP) == 664
    assert [len(file.days[day]) for day in (date(2015, 3, 30), date(2015, 6, 24))] == [40, 3]
    assert file.report.findings[Problem.SHORT_SESSION].count == 34


def test_start_and_end_dates_are_both_included() -> None:
    file = read_candles(shared(WHOLE), start=date(2019, 1, 1), end=date(2019, 1, 2), calendar=NSE)

    assert list(file.days) == [date(2019, 1, 1), date(2019, 1, 2)]
    assert (file.report.rows, file.report.used, file.report.findings) == (750, 750, {})
    assert [len(candles) for candles in file.days.values()] == [375, 375]


def test_a_market_round_the_clock_is_read_without_a_calendar() -> None:
    file = read_candles(shared("crypto/BTCUSDT_spot_1m_to_2026-01-14.parquet"), "BTC/USDT")

    assert (file.instrument, file.report.used, file.report.findings) == ("BTC/USDT", 40_320, {})
    first = next(file.candles())
    assert (first.opened_at.isoformat(), first.volume) == ("2025-12-18T00:00:00+00:00", 9.9374)


def test_other_timeframes_are_recognised() -> None:
    file = read_candles(shared("nse/BANKNIFTY_5m_2025-06_2025-07.parquet"), calendar=NSE)
    assert (file.timeframe, file.report.used, file.report.findings) == (Timeframe.M5, 3_300, {})


def test_rows_that_cannot_be_true_are_refused_and_told(tmp_path: Path) -> None:
    text = HEADER + "".join(
        [
            line("09:15"),
            line("09:16", "NaN,101,99,100"),
            line("09:17", "0,101,0,100"),
            line("09:18", "-5,101,-5,100"),
            line("09:19", "inf,inf,99,100"),
            line("09:20", "100,99,98,98.5"),  # high below open
            line("09:21"),
            line("09:21", "100,101,99,100.75"),  # the same minute with another close
            line("09:22"),
            line("09:22"),
            line("09:23:00"),
            line("9 o'clock"),
            line("09:24").strip() + ",7,8\n",  # torn: too many fields
            line("08:00"),
        ]
    )
    file = read_candles(write(tmp_path, text), calendar=NSE, timeframe=Timeframe.M1)
    report = file.report

    assert [candle.opened_at for candle in file.days[DAY]] == [at("09:15"), at("09:22"), at("09:23")]
    assert (report.rows, report.used) == (14, 3)
    assert {problem: (finding.count, finding.action) for problem, finding in report.findings.items()} == {
        Problem.UNREADABLE: (2, "refused"),
        Problem.NOT_A_PRICE: (4, "refused"),
        Problem.PRICE_DISORDER: (1, "refused"),
        Problem.CONFLICTING_DUPLICATE: (2, "refused"),
        Problem.EXACT_DUPLICATE: (1, "dropped"),
        Problem.OFF_SESSION: (1, "dropped"),
        Problem.OUT_OF_ORDER: (1, "sorted"),
        Problem.GAP: (372, "left missing"),
        Problem.SHORT_SESSION: (1, "kept"),
    }
    assert report.findings[Problem.PRICE_DISORDER].examples == ("2026-11-20T09:20:00 [100.0, 99.0, 98.0, 98.5]",)
    assert report.findings[Problem.GAP].examples == ("2026-11-20 09:16 to 09:21 (6)", "2026-11-20 09:24 to 15:29 (366)")
    assert report.lines()[0] == "BANKNIFTY_1m.csv: 3 of 14 rows used"


def test_a_time_between_two_candles_is_refused(tmp_path: Path) -> None:
    text = HEADER + line("09:15") + line("09:20") + line("09:25") + line("09:28") + line("09:30:30")
    file = read_candles(write(tmp_path, text), calendar=NSE, timeframe=Timeframe.M5)

    assert file.report.findings[Problem.OFF_GRID].examples == ("2026-11-20T09:28:00", "2026-11-20T09:30:30")
    assert len(file) == 3


def test_prices_of_another_level_are_refused_until_they_are_back(tmp_path: Path) -> None:
    level, other = "1000,1001,999,1000", "100,101,99,100"
    clocks = {"09:15": level, "09:16": other, "09:17": other, "09:18": level}
    text = HEADER + "".join(line(clock, prices) for clock, prices in clocks.items())
    text += line("09:15", other, day="20261123")  # overnight a split is possible
    file = read_candles(write(tmp_path, text), calendar=NSE)

    assert [(c.opened_at.strftime("%d %H:%M"), c.close) for c in file.candles()] == [
        ("20 09:15", 1000),
        ("20 09:18", 1000),
        ("23 09:15", 100),
    ]
    assert file.report.count(Problem.LEVEL_JUMP) == 2


def test_a_label_can_be_given_where_it_cannot_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + line("10:00") + line("10:01"))
    unclear = read_candles(path, calendar=NSE)
    assert "taken as starts" in unclear.report.notes[0]
    assert next(unclear.candles()).opened_at == at("10:00")

    told = read_candles(path, calendar=NSE, label="end")
    assert next(told.candles()).opened_at == at("09:59")


def test_a_file_that_does_not_say_what_it_holds_goes_by_its_name(tmp_path: Path) -> None:
    text = "Date,Time,Open,High,Low,Close\n20261120,09:15,1,1,1,1\n20261120,09:16,1,1,1,1\n"
    clear, unclear = (read_candles(write(tmp_path, text, name), calendar=NSE) for name in ("NIFTY.csv", "minutes.csv"))

    assert (clear.instrument, clear.report.notes) == ("NSE:NIFTY", [])
    assert (unclear.instrument, unclear.report.notes) == ("NSE:MINUTES", ["the file does not say what it holds: taken as NSE:MINUTES"])
    assert read_candles(tmp_path / "minutes.csv", "NSE:BANKNIFTY", calendar=NSE).report.notes == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("BANKNIFTY_1m.csv", "", "cannot be read|lacks"),
        ("BANKNIFTY_1m.csv", "Date,Time,Close\n20261120,09:15,100\n", "lacks open, high, low"),
        ("BANKNIFTY_1m.csv", "Open,High,Low,Close\n1,1,1,1\n", "needs columns Date and Time"),
        ("BANKNIFTY_1m.csv", HEADER + line("08:00") + line("08:01"), "no usable candle"),
        ("BANKNIFTY_1m.csv", HEADER + line("09:15") + line("09:16", symbol="NIFTY"), "must hold one instrument"),
        ("BANKNIFTY_1m.csv", HEADER + line("09:15"), "pass the timeframe"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    with pytest.raises(InvalidMarketData, match=complaint):
        read_candles(write(tmp_path, text, name), calendar=NSE)


def test_an_absent_file_and_a_parquet_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMarketData, match="cannot be read"):
        read_candles(tmp_path / "BANKNIFTY_1m.csv")
    with pytest.raises(InvalidMarketData, match="cannot be read"):
        read_candles(write(tmp_path, "not parquet", "BANKNIFTY_1m.parquet"))


def test_a_parquet_of_something_else_is_refused_with_the_columns_it_has(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": ["a"], "equity": [1.0]}).to_parquet(tmp_path / "BANKNIFTY_1m.parquet")
    with pytest.raises(InvalidMarketData, match="lacks open, high, low, close; its columns are user_id, equity"):
        read_candles(tmp_path / "BANKNIFTY_1m.parquet")


def test_a_parquet_without_a_known_time_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BANKNIFTY_1m.parquet"
    pq.write_table(pa.table({"open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0]}), path)
    with pytest.raises(InvalidMarketData, match="ts_ist"):
        read_candles(path)
