"""Historical and intraday candles V3: units, intervals, spans, availability, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any

from runtime.market import IST, Candle, InstrumentKind
from tests.venues.upstox.errors import refusal
from tests.venues.upstox.listing import Listed
from tests.venues.upstox.market import Bar, Market
from tests.venues.upstox.settings import VenueSettings

INTERVALS = {"minutes": 300, "hours": 5, "days": 1, "weeks": 1, "months": 1}
"""Unit -> the largest interval."""

_MINUTES_FROM, _DAYS_FROM = date(2022, 1, 1), date(2000, 1, 1)
_SHORT_MINUTES = 15
_MONTH, _QUARTER, _DECADE = 1, 3, 120  # months per call
_MONTHS_LISTED = 3  # a contract has history from so long before its expiry


def history(
    market: Market, settings: VenueSettings, listed: Listed, unit: str, interval: int, first: date | None, last: date, now: datetime
) -> list[list[Any]]:
    """Rows [time, open, high, low, close, volume, open interest] of whole past days, newest first; today is never among them.

    Raises:
        ApiError: unit, interval or span outside what is documented.
    """
    _check(unit, interval)
    span = _span_months(unit, interval)
    earliest = _DAYS_FROM if span is None else _months_before(last, span)
    if first is not None and (first > last or first < earliest):
        raise refusal("UDAPI1015" if first > last else "UDAPI1148", path="fromDate", value=str(first))
    today = now.astimezone(IST).date()
    start = max(first or earliest, _MINUTES_FROM if unit in ("minutes", "hours") else _DAYS_FROM, today - timedelta(settings.history_days))
    if listed.instrument.expiry is not None:
        start = max(start, _months_before(listed.instrument.expiry, _MONTHS_LISTED))
    bars = _frames(market, listed, unit, interval, _days(market, start, min(last, today - timedelta(days=1))))
    return [_row(market, listed, bar) for bar in reversed(list(bars))]


def today(market: Market, settings: VenueSettings, listed: Listed, unit: str, interval: int, now: datetime) -> list[list[Any]]:
    """The session of the clock's date so far, newest first, the bar under way included if the settings say so."""
    _check(unit, interval)
    if unit in ("weeks", "months"):
        raise refusal("UDAPI1146", path="unit", value=unit)
    day = now.astimezone(IST).date()
    opened_at, _ = market.calendar.bounds_at(now)
    if now <= opened_at:
        return []
    minutes = [_bar(candle) for candle in market.candles(listed, day) if candle.closed_at <= now]
    snapshot = market.snapshot(listed, now)
    if snapshot is not None and snapshot.traded_at >= opened_at and (not minutes or snapshot.minute.opened_at > minutes[-1].opened_at):
        minutes.append(snapshot.minute)
    bars = list(_merged(minutes, unit, interval, opened_at))
    if bars and not settings.intraday_shows_forming and now < bars[-1].opened_at + _length(unit, interval):
        bars.pop()
    return [_row(market, listed, bar) for bar in reversed(bars)]


def _check(unit: str, interval: int) -> None:
    if unit not in INTERVALS:
        raise refusal("UDAPI1146", path="unit", value=unit)
    if not 1 <= interval <= INTERVALS[unit]:
        raise refusal("UDAPI1147", path="interval", value=interval)


def _span_months(unit: str, interval: int) -> int | None:
    """How many months one call may span; None: any."""
    if unit == "minutes":
        return _MONTH if interval <= _SHORT_MINUTES else _QUARTER
    return {"hours": _QUARTER, "days": _DECADE}.get(unit)


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    last = (date(year + month // 11, (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month + 1, min(day.day, last))


def _days(market: Market, first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        if market.calendar.times(day):
            yield day
        day += timedelta(days=1)


def _frames(market: Market, listed: Listed, unit: str, interval: int, days: Iterable[date]) -> Iterator[Bar]:
    if unit in ("minutes", "hours"):
        for day in days:
            bounds = market.calendar.bounds(day)
            assert bounds is not None
            yield from _merged([_bar(candle) for candle in market.candles(listed, day)], unit, interval, bounds[0])
        return
    daily = [bar for day in days if (bar := market.daily(listed, day)) is not None]
    for first, bars in groupby(daily, key=lambda bar: _period(bar.opened_at.astimezone(IST).date(), unit)):
        yield _whole(list(bars), datetime.combine(first, time(0), IST))


def _merged(minutes: list[Bar], unit: str, interval: int, opened_at: datetime) -> Iterator[Bar]:
    """Minutes gathered into frames that are counted from the session's open."""
    if unit == "days":
        if minutes:
            yield _whole(minutes, datetime.combine(opened_at.astimezone(IST).date(), time(0), IST))
        return
    length = _length(unit, interval)
    for number, bars in groupby(minutes, key=lambda bar: (bar.opened_at - opened_at) // length):
        yield _whole(list(bars), opened_at + number * length)


def _length(unit: str, interval: int) -> timedelta:
    return timedelta(minutes=interval * {"minutes": 1, "hours": 60, "days": 1440}[unit])


def _period(day: date, unit: str) -> date:
    if unit == "weeks":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "months" else day


def _whole(bars: list[Bar], opened_at: datetime) -> Bar:
    return Bar(
        opened_at=opened_at,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum(bar.volume for bar in bars),
    )


def _bar(candle: Candle) -> Bar:
    return Bar(
        opened_at=candle.opened_at,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=int(candle.volume or 0),
    )


def _row(market: Market, listed: Listed, bar: Bar) -> list[Any]:
    interest = 0 if listed.instrument.kind is InstrumentKind.INDEX else int(market.interest(listed, bar.opened_at))
    return [bar.opened_at.astimezone(IST).isoformat(), bar.open, bar.high, bar.low, bar.close, bar.volume, interest]
