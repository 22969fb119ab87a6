"""When exchanges trade: our own YAML files, and the holidays of `pandas_market_calendars` where a file names one of its calendars."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from datetime import date, time
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from runtime.calendar import ExceptionsOf, ExchangeCalendar, SessionTimes
from runtime.errors import InvalidConfig
from runtime.market import InstrumentId, Segment

_Range = Annotated[str, msgspec.Meta(pattern=r"^\d\d:\d\d-\d\d:\d\d$")]
_SATURDAY = 5

_BY_EXCHANGE = {"NSE": "nse", "BSE": "nse", "CME": "cme", "CBOT": "cme", "FX": "fx"}
_BY_SEGMENT = {Segment.INDIAN: "nse", Segment.CRYPTO: "crypto", Segment.FOREX: "fx", Segment.US: "nyse"}


class _SessionsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zone: str
    regular: _Range
    weekends: bool = False
    library: str | None = None
    holidays_min: int = 0
    special: dict[date, list[_Range]] = {}


def calendar_for(instrument: InstrumentId, segment: Segment | None = None) -> ExchangeCalendar:
    """The calendar of an instrument's exchange (the part before the colon), else of its segment; a pair (`BTC/USDT`) is crypto.

    Raises:
        InvalidConfig: neither tells.
    """
    exchange, colon, _ = instrument.partition(":")
    if colon and exchange in _BY_EXCHANGE:
        return load_calendar(_BY_EXCHANGE[exchange])
    if segment is None and not colon and "/" in instrument:
        segment = Segment.CRYPTO
    if segment is None:
        known = ", ".join(f"{name}:" for name in sorted(_BY_EXCHANGE))
        raise InvalidConfig("instrument", instrument, f"no calendar is known for it: begin it with one of {known}, or give its segment")
    return load_calendar(_BY_SEGMENT[segment])


@lru_cache(maxsize=16)
def load_calendar(source: str | Path = "nse") -> ExchangeCalendar:
    """Read a sessions file: `nse`, `cme`, `fx`, `crypto` or `nyse` of this package, or a path to your own.

    Holidays of the library are read year by year, when a date of that year is asked for.

    Raises:
        InvalidConfig: the file is not readable or not of the form documented in nse_sessions.yaml.
    """
    file = source if isinstance(source, Path) else files("configs").joinpath(f"{source}_sessions.yaml")
    try:
        content = msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), _SessionsFile)
        return ExchangeCalendar(
            zone=ZoneInfo(content.zone),
            regular=_times(content.regular),
            weekdays=range(7 if content.weekends else _SATURDAY),
            special={day: [_times(part) for part in parts] for day, parts in content.special.items()},
            exceptions=_exceptions(content),
        )
    except (OSError, yaml.YAMLError, msgspec.ValidationError, ZoneInfoNotFoundError) as error:
        raise InvalidConfig("sessions file", str(file), f"compare it with configs/nse_sessions.yaml: {error}") from error


def _exceptions(content: _SessionsFile) -> ExceptionsOf:
    """Per year: what the library says differs from the regular session. A year it knows too few holidays of is refused.

    A broken or outdated list looks just like this, and every holiday it misses would be a day on which a frame never closes.
    """
    library, ours = content.library, {day for day, parts in content.special.items() if not parts}

    @lru_cache(maxsize=64)
    def of_year(year: int) -> Mapping[date, Sequence[SessionTimes]]:
        found = {} if library is None else _library_exceptions(library, year, _times(content.regular))
        closed = {day for day, parts in found.items() if not parts} | {day for day in ours if day.year == year}
        if len(closed) < content.holidays_min:
            raise InvalidConfig(
                "holidays",
                f"{len(closed)} in {year}",
                f"a year of {library or 'this exchange'} has at least {content.holidays_min}: the list of {year} is not complete; "
                "upgrade pandas_market_calendars or list the year's holidays (date: []) in a sessions file",
            )
        return found

    return of_year


def _library_exceptions(name: str, year: int, regular: SessionTimes) -> dict[date, tuple[SessionTimes, ...]]:
    """Weekdays on which the exchange is closed (no part) or keeps other times, from `pandas_market_calendars`; pauses left out."""
    import pandas as pd
    import pandas_market_calendars as library

    first, last = f"{year}-01-01", f"{year}-12-31"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own use of pandas, nothing to do with us
        calendar: Any = library.get_calendar(name)
        schedule: Any = calendar.schedule(first, last)
    days, opens, closes = schedule.index, schedule["market_open"].dt, schedule["market_close"].dt
    dates: list[date] = [day.date() for day in days]
    starts: list[time] = opens.tz_convert(calendar.tz).dt.time.tolist()
    ends: list[time] = closes.tz_convert(calendar.tz).dt.time.tolist()
    traded: dict[date, SessionTimes] = dict(zip(dates, zip(starts, ends, strict=True), strict=True))
    weekdays: list[date] = [day.date() for day in pd.bdate_range(first, last)]
    closed: dict[date, tuple[SessionTimes, ...]] = {day: () for day in weekdays if day not in traded}
    return closed | {day: (times,) for day, times in traded.items() if times != regular}


def _times(text: str) -> SessionTimes:
    opens, _, closes = text.partition("-")
    try:
        return time.fromisoformat(opens), time.fromisoformat("00:00" if closes == "24:00" else closes)
    except ValueError as error:
        raise InvalidConfig("session", text, 'write it as "09:15-15:30"') from error
