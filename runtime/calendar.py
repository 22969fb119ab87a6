"""When an exchange trades: a regular session on weekdays, and the dates that differ from it, given as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import TypeAlias

from runtime.errors import InvalidConfig
from runtime.market import IST

SessionTimes: TypeAlias = tuple[time, time]
"""Open (included) and close (excluded), wall-clock times of the exchange."""

_SATURDAY = 5


class ExchangeCalendar:
    """Sessions per date, in the exchange's zone.

    `special` replaces the regular session of its dates: evening sessions, weekend sessions, sessions in several parts
    (a drill, a halt with a later extension); an empty list is a holiday. Trading days are those with a session: a holiday
    that is not listed counts as a trading day on which no candle arrives.
    """

    def __init__(
        self,
        *,
        zone: tzinfo = IST,
        regular: SessionTimes = (time(9, 15), time(15, 30)),
        special: Mapping[date, Sequence[SessionTimes]] | None = None,
    ) -> None:
        self.zone = zone
        self._regular = (regular,)
        self._special = {day: tuple(parts) for day, parts in (special or {}).items()}
        for day, parts in [(None, self._regular), *self._special.items()]:
            edges = [edge for part in parts for edge in part]
            if any(later <= earlier for earlier, later in pairwise(edges)):
                raise InvalidConfig(f"sessions of {day or 'a regular day'}", edges, "each part must end after it starts, before the next")

    def times(self, day: date) -> tuple[SessionTimes, ...]:
        """Wall-clock parts of the day's session; empty when the exchange is closed."""
        special = self._special.get(day)
        if special is not None:
            return special
        return self._regular if day.weekday() < _SATURDAY else ()

    def session(self, day: date) -> list[tuple[datetime, datetime]]:
        """The parts of the day's session, ascending; each open is included, each close is not."""
        return [(self._at(day, opens), self._at(day, closes)) for opens, closes in self.times(day)]

    def bounds(self, day: date) -> tuple[datetime, datetime] | None:
        """First open and last close of the day, None when closed."""
        parts = self.times(day)
        return (self._at(day, parts[0][0]), self._at(day, parts[-1][1])) if parts else None

    def bounds_at(self, ts: datetime) -> tuple[datetime, datetime]:
        """Bounds of the session on the exchange date of `ts`; on a closed day an empty session at its midnight."""
        day = ts.astimezone(self.zone).date()
        midnight = self._at(day, time(0))
        return self.bounds(day) or (midnight, midnight)

    def is_open(self, ts: datetime) -> bool:
        """Whether the exchange trades at `ts`; false in the pause of a session in parts."""
        local = ts.astimezone(self.zone)
        clock = local.time()
        return any(opens <= clock < closes for opens, closes in self.times(local.date()))

    def minutes(self, day: date) -> int:
        """Trading minutes of the day, 375 on a regular NSE day."""
        return sum((closes - opens) // timedelta(minutes=1) for opens, closes in self.session(day))

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone)
