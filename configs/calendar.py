"""The exchange's sessions, read from YAML."""

from __future__ import annotations

from datetime import date, time
from importlib.resources import files
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from runtime.calendar import ExchangeCalendar, SessionTimes
from runtime.errors import InvalidConfig

_Range = Annotated[str, msgspec.Meta(pattern=r"^\d\d:\d\d-\d\d:\d\d$")]


class _SessionsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zone: str
    regular: _Range
    special: dict[date, list[_Range]] = {}


def load_calendar(path: Path | None = None) -> ExchangeCalendar:
    """Read a sessions file; without a path, the NSE's that comes with the package.

    Raises:
        InvalidConfig: the file is not readable or not of the form documented in nse_sessions.yaml.
    """
    source = path or files("configs").joinpath("nse_sessions.yaml")
    try:
        content = msgspec.convert(yaml.safe_load(source.read_text(encoding="utf-8")), _SessionsFile)
        return ExchangeCalendar(
            zone=ZoneInfo(content.zone),
            regular=_times(content.regular),
            special={day: [_times(part) for part in parts] for day, parts in content.special.items()},
        )
    except (OSError, yaml.YAMLError, msgspec.ValidationError, ZoneInfoNotFoundError) as error:
        raise InvalidConfig("sessions file", str(source), f"compare it with configs/nse_sessions.yaml: {error}") from error


def _times(text: str) -> SessionTimes:
    opens, _, closes = text.partition("-")
    try:
        return time.fromisoformat(opens), time.fromisoformat(closes)
    except ValueError as error:
        raise InvalidConfig("session", text, 'write it as "09:15-15:30"') from error
