"""Sessions of the exchange, regular and special."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from configs.calendar import load_calendar
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidConfig
from runtime.market import IST
from tests.builders import at

DRILL = date(2024, 3, 2)
MUHURAT = date(2022, 10, 24)
CALENDAR = ExchangeCalendar(
    special={DRILL: [(time(9, 15), time(10)), (time(11, 30), time(12, 30))], MUHURAT: [(time(18, 15), time(19, 15))], date(2026, 1, 26): []}
)


def test_a_weekday_has_one_session_and_a_weekend_none() -> None:
    friday, saturday = date(2026, 11, 20), date(2026, 11, 21)
    assert CALENDAR.session(friday) == [(at("09:15"), at("15:30"))]
    assert CALENDAR.bounds(friday) == (at("09:15"), at("15:30"))
    assert CALENDAR.minutes(friday) == 375
    assert CALENDAR.session(saturday) == []
    assert CALENDAR.bounds(saturday) is None


def test_the_open_belongs_to_the_session_and_the_close_does_not() -> None:
    assert [CALENDAR.is_open(at(clock)) for clock in ("09:14", "09:15", "15:29", "15:30")] == [False, True, True, False]
    assert CALENDAR.is_open(datetime(2026, 11, 20, 3, 45, tzinfo=UTC))  # 09:15 in India
    assert not CALENDAR.is_open(datetime(2026, 11, 20, 10, 0, tzinfo=UTC))


def test_a_drill_in_two_parts_is_closed_between_them() -> None:
    assert CALENDAR.minutes(DRILL) == 105
    assert CALENDAR.bounds(DRILL) == (at("09:15", DRILL), at("12:30", DRILL))
    assert [CALENDAR.is_open(at(clock, DRILL)) for clock in ("09:59", "10:00", "11:29", "11:30", "12:30")] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_special_evening_replaces_the_day_session() -> None:
    assert CALENDAR.session(MUHURAT) == [(at("18:15", MUHURAT), at("19:15", MUHURAT))]
    assert not CALENDAR.is_open(at("10:00", MUHURAT))


def test_a_listed_holiday_is_closed() -> None:
    republic_day = date(2026, 1, 26)
    assert CALENDAR.bounds(republic_day) is None
    midnight = at("00:00", republic_day)
    assert CALENDAR.bounds_at(at("10:00", republic_day)) == (midnight, midnight)


def test_bounds_at_goes_by_the_exchange_date() -> None:
    assert CALENDAR.bounds_at(datetime(2026, 11, 19, 23, 0, tzinfo=UTC)) == (at("09:15"), at("15:30"))


@pytest.mark.parametrize("parts", [[(time(10), time(10))], [(time(9), time(11)), (time(10), time(12))]])
def test_parts_that_overlap_or_do_not_last_are_refused(parts: list[tuple[time, time]]) -> None:
    with pytest.raises(InvalidConfig, match="2026-01-26"):
        ExchangeCalendar(special={date(2026, 1, 26): parts})


def test_the_nse_calendar_knows_its_real_special_sessions() -> None:
    nse = load_calendar()
    assert nse.zone == IST
    assert nse.session(date(2021, 2, 24)) == [
        (at("09:15", date(2021, 2, 24)), at("11:40", date(2021, 2, 24))),
        (at("15:45", date(2021, 2, 24)), at("17:00", date(2021, 2, 24))),
    ]
    full_weekends = ["2015-02-28", "2020-02-01", "2024-01-20"]
    assert [nse.minutes(date.fromisoformat(day)) for day in full_weekends] == [375] * 3
    assert [nse.minutes(date.fromisoformat(day)) for day in ("2024-03-02", "2024-05-18")] == [105] * 2
    assert nse.minutes(MUHURAT) == 60
