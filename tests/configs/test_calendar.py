"""Sessions files, and the calendars of the exchanges: against recorded trading days and published lists."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pyarrow.parquet import read_table

from configs.calendar import calendar_for, load_calendar
from runtime.candles import Aggregator
from runtime.errors import InvalidConfig
from runtime.market import Candle, Segment, Timeframe
from tests.shared_data import shared


def test_a_file_of_your_own_is_read(tmp_path: Path) -> None:
    file = tmp_path / "sessions.yaml"
    file.write_text('zone: America/New_York\nregular: "09:30-16:00"\nspecial:\n  2026-11-27: ["09:30-13:00"]\n  2026-12-25: []\n')
    calendar = load_calendar(file)

    assert [calendar.minutes(date(2026, month, day)) for month, day in ((11, 20), (11, 27), (12, 25))] == [390, 210, 0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("zone: Nowhere/City\nregular: '09:15-15:30'", "Nowhere"),
        ("zone: Asia/Kolkata\nregular: 9-15", "regular"),
        ("zone: Asia/Kolkata\nregular: '25:00-26:00'", "09:15-15:30"),
        ("zone: Asia/Kolkata", "regular"),
        ("zone: Asia/Kolkata\nregular: '09:15-15:30'\nholidays: []", "holidays"),
        ("zone: [", "sessions.yaml"),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "sessions.yaml"
    file.write_text(text)
    with pytest.raises(InvalidConfig, match=complaint):
        load_calendar(file)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"absent\.yaml"):
        load_calendar(tmp_path / "absent.yaml")


def test_the_nse_of_2026_is_closed_on_the_holidays_of_its_circular() -> None:
    weekdays = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    closed = [f"{day:%m-%d}" for day in weekdays if day.weekday() < 5 and load_calendar("nse").bounds(day) is None]
    assert closed == [
        "01-15", "01-26", "03-03", "03-26", "03-31", "04-03", "04-14", "05-01", "05-28", "06-26", "09-14", "10-02", "10-20", "11-10", "11-24", "12-25",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet", "nse/NIFTY50_1m_2025-11-24_2026-02.parquet"], ids=["2012-2024", "2026"]
)
def test_the_nse_is_open_on_every_day_that_was_recorded_and_on_no_other(path: str) -> None:
    """Whole months are absent from the records, and the dates of `unrecorded` from their sources; Muhurat evenings are kept apart."""
    calendar = load_calendar("nse")
    recorded = {ts.date() for ts in read_table(shared(path), columns=["ts_ist"]).column(0).to_pylist()}
    months = {(day.year, day.month) for day in recorded}
    unrecorded = {date(2012, 11, 13), date(2024, 2, 1), date(2024, 3, 4), date(2026, 2, 1)}
    span = [day for year, month in months for day in _days_of(year, month) if min(recorded) <= day <= max(recorded)]

    assert {day for day in span if calendar.minutes(day) > 60} - unrecorded == recorded


@pytest.mark.parametrize("name", ["nse", "cme", "nyse"])
def test_a_year_whose_holidays_are_not_known_is_refused_by_its_number(name: str, tmp_path: Path) -> None:
    file = tmp_path / "sessions.yaml"
    library = {"nse": "NSE", "cme": "CME Globex Equity", "nyse": "NYSE"}[name]
    file.write_text(f"zone: UTC\nregular: '09:15-15:30'\nlibrary: {library}\nholidays_min: 40\n")

    with pytest.raises(InvalidConfig, match=r"in 2026.*at least 40"):
        load_calendar(file).bounds(date(2026, 3, 4))


def test_the_nse_of_a_year_to_come_is_refused_until_its_list_is_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"0 in 2027.*upgrade pandas_market_calendars or list"):
        load_calendar("nse").bounds(date(2027, 3, 4))

    own = tmp_path / "sessions.yaml"
    holidays = "".join(f"  2027-01-{day:02d}: []\n" for day in range(4, 14))
    own.write_text(f"zone: Asia/Kolkata\nregular: '09:15-15:30'\nlibrary: NSE\nholidays_min: 10\nspecial:\n{holidays}")
    calendar = load_calendar(own)
    assert [calendar.minutes(date(2027, 1, day)) for day in (13, 14)] == [0, 375]


def test_cme_trades_from_the_evening_before_but_for_an_hour_of_maintenance() -> None:
    cme, chicago = load_calendar("cme"), ZoneInfo("America/Chicago")
    monday = date(2026, 3, 2)
    assert cme.bounds(monday) == (datetime(2026, 3, 1, 17, tzinfo=chicago), datetime(2026, 3, 2, 16, tzinfo=chicago))
    clocks = [(1, 16, 59), (1, 17, 0), (2, 3, 0), (2, 15, 59), (2, 16, 0), (2, 16, 59), (2, 17, 0), (6, 17, 0), (7, 12, 0)]
    assert [cme.is_open(datetime(2026, 3, *clock, tzinfo=chicago)) for clock in clocks] == [
        False, True, True, True, False, False, True, False, False,
    ]  # fmt: skip
    assert cme.trading_date(datetime(2026, 3, 1, 18, tzinfo=chicago)) == monday
    thanksgiving, good_friday, christmas = date(2026, 11, 26), date(2026, 4, 3), date(2026, 12, 25)
    assert [cme.minutes(day) / 60 for day in (thanksgiving, good_friday, christmas)] == [19, 15.25, 0]


def test_every_recorded_bar_of_an_index_future_lies_in_a_session_of_cme() -> None:
    cme = load_calendar("cme")
    times = read_table(shared("us/ES_5min_to_2026-03.parquet"), columns=["datetime"]).column(0).to_pylist()
    bars = [ts.replace(tzinfo=ZoneInfo("America/New_York")) for ts in times]
    assert len(bars) > 8000
    assert [ts for ts in bars if not cme.is_open(ts)] == []
    for day, count in Counter(cme.trading_date(ts) for ts in bars).items():
        if min(bars).date() < day < date(2026, 4, 1):  # whole trading dates
            assert cme.minutes(day) / 5 - count in {0, 1, 2}


def test_foreign_exchange_rests_from_friday_to_sunday_at_five_in_new_york() -> None:
    fx, new_york = load_calendar("fx"), ZoneInfo("America/New_York")
    clocks = [(6, 16, 59), (6, 17, 0), (7, 12, 0), (8, 16, 59), (8, 17, 0), (9, 17, 0)]
    assert [fx.is_open(datetime(2026, 3, *clock, tzinfo=new_york)) for clock in clocks] == [True, False, False, False, True, True]
    assert fx.bounds(date(2026, 3, 9)) == (datetime(2026, 3, 8, 21, tzinfo=UTC), datetime(2026, 3, 9, 21, tzinfo=UTC))  # summer time
    assert fx.bounds(date(2026, 3, 6)) == (datetime(2026, 3, 5, 22, tzinfo=UTC), datetime(2026, 3, 6, 22, tzinfo=UTC))


def test_crypto_never_closes() -> None:
    crypto = load_calendar("crypto")
    sunday = date(2026, 12, 27)
    assert crypto.bounds(sunday) == (datetime(2026, 12, 27, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC))
    assert crypto.is_open(datetime(2026, 12, 27, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("instrument", "segment", "name"),
    [
        ("NSE:BANKNIFTY26NOV52000CE", None, "nse"),
        ("CME:MES", Segment.US, "cme"),
        ("BTC/USDT", None, "crypto"),
        ("FX:EURUSD", None, "fx"),
        ("NASDAQ:AAPL", Segment.US, "nyse"),
    ],
)
def test_an_instrument_has_the_calendar_of_its_exchange_or_segment(instrument: str, segment: Segment | None, name: str) -> None:
    assert calendar_for(instrument, segment) is load_calendar(name)


def test_an_instrument_of_an_unknown_exchange_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"XETRA:SAP.*give its segment"):
        calendar_for("XETRA:SAP")


@pytest.mark.parametrize(
    ("instrument", "day", "frames"),
    [
        ("NSE:NIFTY", date(2026, 11, 20), [375, 125, 75, 25, 13, 7, 2, 1]),
        ("CME:MES", date(2026, 11, 20), [1380, 460, 276, 92, 46, 23, 6, 1]),
        ("FX:EURUSD", date(2026, 11, 20), [1440, 480, 288, 96, 48, 24, 6, 1]),
        ("BTC/USDT", date(2026, 11, 22), [1440, 480, 288, 96, 48, 24, 6, 1]),
        ("NSE:NIFTY", date(2024, 3, 2), [105, 35, 21, 7, 5, 3, 1, 1]),  # 09:15-10:00 and 11:30-12:30, frames from 09:15
    ],
)
def test_a_session_has_so_many_frames_of_each_length(instrument: str, day: date, frames: list[int]) -> None:
    calendar = calendar_for(instrument)
    minutes = [
        opens + timedelta(minutes=n) for opens, closes in calendar.session(day) for n in range((closes - opens) // timedelta(minutes=1))
    ]
    for timeframe, count in zip(Timeframe, frames, strict=True):
        aggregator = Aggregator(timeframe, calendar.bounds_at)
        closed = [
            frame
            for ts in minutes
            for frame in aggregator.add(
                Candle(instrument=instrument, timeframe=Timeframe.M1, opened_at=ts, open=1, high=1, low=1, close=1, volume=1)
            )
        ]
        assert len(closed) == count
        assert closed[0].opened_at == minutes[0]
        assert sum(frame.volume or 0 for frame in closed) == len(minutes)


def _days_of(year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    return [day for n in range(31) if (day := first + timedelta(days=n)).month == month]
