"""Reading the sessions file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from configs.calendar import load_calendar
from runtime.errors import InvalidConfig


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
