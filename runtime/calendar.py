"""When an exchange trades: a regular session on its weekdays, and the dates that differ from it, given as data.

Sessions belong to trading dates. One that begins on the evening before (17:00 to 16:00 at CME) belongs to the date on which it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import TypeAlias

from runtime.errors import InvalidConfig
from runtime.market import IST

SessionTimes: TypeAlias = tuple[time, time]
"""Open (included) and close (excluded), wall-clock times of the exchange. A close at 00:00 is the end of the date. Where the regular
session has an open that is not before its close, such an open is on the calendar day before the trading date."""

ExceptionsOf: TypeAlias = Callable[[int], Mapping[date, Sequence[SessionTimes]]]
"""A year's dates that differ from the regular session. Raises `InvalidConfig` for a year that it does not know well enough."""

_MONDAY_TO_FRIDAY = range(5)
_ONE_DAY = timedelta(days=1)
_MIDNIGHT = time(0)


def _no_exceptions(_: int) -> Mapping[date, Sequence[SessionTimes]]:
    return {}


class ExchangeCalendar:
    """Sessions per trading date, in the exchange's zone.

    `exceptions` are the holidays and short days of a year, asked for when a date of that year is. `special` goes before them:
    evening sessions, weekend sessions, sessions in several parts (a drill, a halt with a later extension); an empty list is a
    holiday. Trading dates are those with a session: without `exceptions`, a holiday that is not listed counts as one on which
    no candle arrives.
    """

    def __init__(
        self,
        *,
        zone: tzinfo = IST,
        regular: SessionTimes = (time(9, 15), time(15, 30)),
        weekdays: Collection[int] = _MONDAY_TO_FRIDAY,
        special: Mapping[date, Sequence[SessionTimes]] | None = None,
        exceptions: ExceptionsOf = _no_exceptions,
    ) -> None:
        """`weekdays` as `date.weekday` counts them, 0 for Monday."""
        self.zone = zone
        self._regular = (regular,)
        self._weekdays = frozenset(weekdays)
        self._special = {day: tuple(parts) for day, parts in (special or {}).items()}
        self._exceptions = exceptions
        self._from_evening = _begins_before(regular)
        for day, parts in [(None, self._regular), *self._special.items()]:
            edges = [edge for part in parts for edge in _minutes(part)]
            unexpected = any(_begins_before(part) for part in parts[0 if not self._from_evening else 1 :])
            if unexpected or any(later <= earlier for earlier, later in pairwise(edges)):
                raise InvalidConfig(f"sessions of {day or 'a regular day'}", parts, "each part must end after it starts, before the next")

    def extended(self, special: Mapping[date, Sequence[SessionTimes]]) -> ExchangeCalendar:
        """The same calendar with these dates besides; where both name a date, the new one counts."""
        return ExchangeCalendar(
            zone=self.zone,
            regular=self._regular[0],
            weekdays=self._weekdays,
            special={**self._special, **special},
            exceptions=self._exceptions,
        )

    def times(self, day: date) -> tuple[SessionTimes, ...]:
        """Wall-clock parts of the trading date's session; empty when the exchange is closed.

        Raises:
            InvalidConfig: the holidays of its year are not known.
        """
        special = self._special.get(day)
        if special is not None:
            return special
        exception = self._exceptions(day.year).get(day)
        if exception is not None:
            return tuple(exception)
        return self._regular if day.weekday() in self._weekdays else ()

    def session(self, day: date) -> list[tuple[datetime, datetime]]:
        """The parts of the trading date's session, ascending; each open is included, each close is not."""
        return [self._span(day, part) for part in self.times(day)]

    def bounds(self, day: date) -> tuple[datetime, datetime] | None:
        """First open and last close of the trading date, None when closed."""
        parts = self.session(day)
        return (parts[0][0], parts[-1][1]) if parts else None

    def trading_date(self, ts: datetime) -> date:
        """The trading date whose session has opened last or, before the first of that local day, the local date itself."""
        day = ts.astimezone(self.zone).date()
        if self._from_evening:
            tomorrow = self.bounds(day + _ONE_DAY)
            if tomorrow is not None and tomorrow[0] <= ts:
                return day + _ONE_DAY
        return day

    def bounds_at(self, ts: datetime) -> tuple[datetime, datetime]:
        """Bounds of the session of `ts`'s trading date; on a closed day an empty session at its midnight."""
        day = self.trading_date(ts)
        midnight = datetime.combine(day, _MIDNIGHT, self.zone)
        return self.bounds(day) or (midnight, midnight)

    def is_open(self, ts: datetime) -> bool:
        """Whether the exchange trades at `ts`; false in the pause of a session in parts."""
        return any(opens <= ts < closes for opens, closes in self.session(self.trading_date(ts)))

    def minutes(self, day: date) -> int:
        """Trading minutes of the trading date, 375 on a regular NSE day."""
        return sum((closes - opens) // timedelta(minutes=1) for opens, closes in self.session(day))

    def _span(self, day: date, part: SessionTimes) -> tuple[datetime, datetime]:
        opens, closes = part
        first = day - _ONE_DAY if _begins_before(part) else day
        last = day + _ONE_DAY if closes == _MIDNIGHT else day
        return datetime.combine(first, opens, self.zone), datetime.combine(last, closes, self.zone)


def _begins_before(part: SessionTimes) -> bool:
    opens, closes = part
    return closes != _MIDNIGHT and opens >= closes


def _minutes(part: SessionTimes) -> tuple[float, float]:
    """Open and close in minutes from the trading date's midnight."""
    opens, closes = (edge.hour * 60 + edge.minute + edge.second / 60 for edge in part)
    return (opens - 1440 if _begins_before(part) else opens), (1440.0 if part[1] == _MIDNIGHT else closes)
