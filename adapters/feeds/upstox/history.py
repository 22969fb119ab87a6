"""Historical candles V3: cut into the spans the vendor allows, turned round to ascending, closed ones only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from urllib.parse import quote

from adapters.upstox.client import UpstoxClient, parse
from runtime.errors import InvalidMarketData
from runtime.market import IST, Candle, InstrumentId, Timeframe

_UNITS = {
    Timeframe.M1: ("minutes", 1),
    Timeframe.M3: ("minutes", 3),
    Timeframe.M5: ("minutes", 5),
    Timeframe.M15: ("minutes", 15),
    Timeframe.M30: ("minutes", 30),
    Timeframe.H1: ("hours", 1),
    Timeframe.H4: ("hours", 4),
    Timeframe.D1: ("days", 1),
}
_MONTH, _QUARTER, _DECADE = timedelta(days=28), timedelta(days=89), timedelta(days=3650)
"""Spans that fit the documented month, quarter and decade wherever they begin."""


def _span(timeframe: Timeframe) -> timedelta:
    unit, interval = _UNITS[timeframe]
    if unit == "days":
        return _DECADE
    return _MONTH if unit == "minutes" and interval <= 15 else _QUARTER


async def read_history(
    client: UpstoxClient,
    key: str,
    instrument: InstrumentId,
    timeframe: Timeframe,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
) -> list[Candle]:
    """Closed candles that open in [`start`, `end`), ascending, each once. Days before today and today come from different places.

    Raises:
        BrokerUnavailable: no usable answer.
        BrokerRefused: an instrument or a span that the vendor does not have.
    """
    today, last = now.astimezone(IST).date(), (end - timedelta(microseconds=1)).astimezone(IST).date()
    unit, interval = _UNITS[timeframe]
    name = quote(key, safe="")
    rows: list[list[object]] = []
    first = start.astimezone(IST).date()
    for since, until in _spans(first, min(last, today - timedelta(days=1)), _span(timeframe)):
        rows += await _rows(client, f"/v3/historical-candle/{name}/{unit}/{interval}/{until}/{since}")
    if first <= today <= last:
        rows += await _rows(client, f"/v3/historical-candle/intraday/{name}/{unit}/{interval}")
    candles: dict[datetime, Candle] = {}
    for row in rows:
        candle = _candle(row, instrument, timeframe)
        if start <= candle.opened_at < end and candle.closed_at <= now:
            candles[candle.opened_at] = candle
    return [candles[opened_at] for opened_at in sorted(candles)]


def _spans(first: date, last: date, span: timedelta) -> Iterator[tuple[date, date]]:
    """(from, to) of each request, both included, without gap or overlap."""
    while first <= last:
        until = min(last, first + span)
        yield first, until
        first = until + timedelta(days=1)


async def _rows(client: UpstoxClient, path: str) -> list[list[object]]:
    answer: dict[str, list[list[object]] | None] = parse(await client.read(path), dict[str, list[list[object]] | None])
    return answer.get("candles") or []


def _candle(row: list[object], instrument: InstrumentId, timeframe: Timeframe) -> Candle:
    """[time with offset, open, high, low, close, volume, open interest]; an index reports volume 0 where it means none."""
    try:
        opened_at = datetime.fromisoformat(str(row[0]))
        prices = [float(str(value)) for value in row[1:5]]
        volume = float(str(row[5]))
    except (IndexError, ValueError) as error:
        raise InvalidMarketData("candle", row, f"is not a candle of {instrument}: {error}") from error
    return Candle(
        instrument=instrument,
        timeframe=timeframe,
        opened_at=opened_at,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=volume or None,
    )
