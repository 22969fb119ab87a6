"""Candles from parquet, CSV and text files, with a report of everything that was wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adapters.candle_files.layout import read_raw
from adapters.candle_files.quality import Bars, Finding, Problem, QualityReport, clean
from adapters.candle_files.times import convert
from runtime.backtest.candle_array import CandleArray
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidMarketData
from runtime.market import Candle, InstrumentId, Timeframe

__all__ = ["CandleFile", "Finding", "Problem", "QualityReport", "from_candles", "read_candles"]

_NAME_PREFIX = re.compile(r"^([A-Z][A-Z0-9&-]*)(?=[_.])")


@dataclass(frozen=True)
class CandleFile:
    """The good candles of a file, ascending, as arrays and as `Candle`s.

    `opened_at` holds wall-clock starts (datetime64[s]) of `zone`; `volume` is None where the file has none or only zeros.
    """

    instrument: InstrumentId
    timeframe: Timeframe
    zone: tzinfo
    opened_at: NDArray[np.datetime64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64] | None
    report: QualityReport

    def __len__(self) -> int:
        return len(self.opened_at)

    @cached_property
    def day_rows(self) -> dict[date, slice]:
        """Rows of each exchange date, ascending."""
        days, first = np.unique(self.opened_at.astype("datetime64[D]"), return_index=True)
        edges = [*first.tolist(), len(self.opened_at)]
        return {day: slice(edges[at], edges[at + 1]) for at, day in enumerate(days.tolist())}

    @cached_property
    def days(self) -> dict[date, list[Candle]]:
        return {day: list(self.candles(rows)) for day, rows in self.day_rows.items()}

    def array(self) -> CandleArray:
        """All of them as a backtest reads them."""
        opened_at = convert(self.opened_at, self.zone, UTC).astype(np.int64)
        prices = np.column_stack([self.open, self.high, self.low, self.close])
        return CandleArray.of(self.instrument, self.timeframe, self.zone, opened_at, prices, self.volume)

    def candles(self, rows: slice = slice(None)) -> Iterator[Candle]:
        instrument, timeframe, zone = self.instrument, self.timeframe, self.zone
        volumes = [None] * len(self.opened_at[rows]) if self.volume is None else self.volume[rows].tolist()
        columns = (values[rows].tolist() for values in (self.opened_at, self.open, self.high, self.low, self.close))
        for at, opens, high, low, close, volume in zip(*columns, volumes, strict=True):
            yield Candle(
                instrument=instrument,
                timeframe=timeframe,
                opened_at=at.replace(tzinfo=zone),
                open=opens,
                high=high,
                low=low,
                close=close,
                volume=volume,
            )


def read_candles(
    path: Path | str,
    instrument: InstrumentId | None = None,
    *,
    start: date | None = None,
    end: date | None = None,
    calendar: ExchangeCalendar | None = None,
    timeframe: Timeframe | None = None,
    label: Literal["start", "end"] | None = None,
    zone: tzinfo | None = None,
    trust_name: bool = False,
) -> CandleFile:
    """Read the candles of the exchange dates `start` to `end`, both included.

    Known forms: parquet, and CSV with a header, with columns open, high, low, close (or o, h, l, c; any case), perhaps volume
    and instrument, and times in one column (`timestamp`, `datetime`, `date`, `open_time`, …: ISO 8601, day-month-year, or an
    epoch in s, ms, µs or ns) or in Date and Time; text without a header
    (`BANKNIFTY,20160701,09:16,open,high,low,close,volume,oi`). An epoch, an offset and the names `ts_ist`, `ts_utc`, `ts_et`
    say the zone of the times; `20160701` with a time of day is India's. Volume that is zero throughout counts as none.

    Args:
        path: the file.
        instrument: what the candles are of; by default the instrument column, else the file's name, on NSE.
        start: first date.
        end: last date.
        calendar: sessions to check against; without one, the market is taken to be open round the clock.
        timeframe: by default, the commonest distance of two rows.
        label: whether rows carry their candle's start or end; by default told from the session's first and last minute.
        zone: of times that do not say it themselves; candles come in the calendar's zone, if there is one.
        trust_name: take `instrument` (or the file's name) although the instrument column says otherwise.

    Raises:
        InvalidMarketData: the file is unreadable, holds no usable row, does not say the zone of its times although `zone` is
            None, or its instrument column contradicts `instrument` or the file's name. Rows that cannot be true are left
            out and counted in the report, not raised.
    """
    path = Path(path)
    report = QualityReport(str(path.name))
    bars, own_zone, symbols = read_raw(path, start, end, report)
    bars, zone = _in_zone(bars, own_zone, zone, calendar, path)
    found = _instrument(path, instrument, symbols, trust_name, report)
    timeframe = timeframe or _timeframe(path, bars)
    bars = _to_starts(bars, label, calendar, timeframe, report)
    bars = _between(bars, start, end, report)
    bars = clean(bars, calendar, timeframe.minutes, report)
    if not len(bars.at):
        raise InvalidMarketData("candle file", str(path), f"no usable candle from {start} to {end}: {'; '.join(report.lines())}")
    return _file(found, timeframe, zone, bars, report)


def _in_zone(bars: Bars, own: tzinfo | None, told: tzinfo | None, calendar: ExchangeCalendar | None, path: Path) -> tuple[Bars, tzinfo]:
    written = own or told
    if written is None:
        raise InvalidMarketData(
            "time zone", None, f"the times of {path.name} carry none: say it, such as --zone Asia/Kolkata or --zone UTC"
        )
    wanted = calendar.zone if calendar is not None else told or written
    return Bars(convert(bars.at, written, wanted), bars.values), wanted


def _instrument(path: Path, asked: InstrumentId | None, symbols: Sequence[str], trust_name: bool, report: QualityReport) -> InstrumentId:
    prefix = _NAME_PREFIX.match(path.name)
    expected = asked or (f"NSE:{prefix[1]}" if prefix else None)
    if not symbols:
        if expected is None:
            expected = f"NSE:{path.stem.upper()}"
            report.notes.append(f"the file does not say what it holds: taken as {expected}")
        return expected
    symbol, *others = symbols
    if others:
        raise InvalidMarketData("instrument column", symbols, f"{path.name} must hold one instrument")
    if expected is None or expected.rpartition(":")[2] == symbol:
        return expected or f"NSE:{symbol}"
    if not trust_name:
        raise InvalidMarketData(
            "instrument column", symbol, f"contradicts {expected} in {path.name}: check the prices, then pass trust_name=True"
        )
    report.add(Problem.WRONG_INSTRUMENT, report.rows, "renamed", [f"{symbol} read as {expected}"])
    return expected


def _timeframe(path: Path, bars: Bars) -> Timeframe:
    steps = np.diff(bars.at).astype(np.int64)
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    seconds = int(values[counts.argmax()]) if len(values) else 0
    found = next((frame for frame in Timeframe if frame.minutes * 60 == seconds), None)
    if found is None:
        raise InvalidMarketData("timeframe", f"{seconds} s between rows", f"pass the timeframe of {path.name}")
    return found


def _to_starts(
    bars: Bars, label: Literal["start", "end"] | None, calendar: ExchangeCalendar | None, timeframe: Timeframe, report: QualityReport
) -> Bars:
    if label is not None:
        report.label = label
    elif calendar is not None:
        report.label = _detect_label(bars, calendar, timeframe, report)
    if report.label == "start":
        return bars
    report.notes.append(f"rows carry the END of their candle: shifted by {timeframe} to starts")
    return Bars(bars.at - np.timedelta64(timeframe.minutes * 60, "s"), bars.values)


def _detect_label(bars: Bars, calendar: ExchangeCalendar, timeframe: Timeframe, report: QualityReport) -> Literal["start", "end"]:
    """Count the days that show it: start labels begin with the session's open (09:15), end labels one step later and reach its close (15:30)."""
    present = set(bars.at.tolist())
    starts = ends = 0
    for day in np.unique(bars.at.astype("datetime64[D]")).tolist():
        bounds = calendar.bounds(day)
        if bounds is None:
            continue
        opens, closes = (edge.replace(tzinfo=None) for edge in bounds)
        starts += opens in present
        ends += opens not in present and opens + timeframe.duration in present and closes in present
    if not starts and not ends:
        report.notes.append("no day shows whether rows carry the start or the END of their candle: taken as starts")
    return "end" if ends > starts else "start"


def _between(bars: Bars, start: date | None, end: date | None, report: QualityReport) -> Bars:
    inside = np.ones(len(bars.at), dtype=bool)
    if start:
        inside &= bars.at >= np.datetime64(start)
    if end:
        inside &= bars.at < np.datetime64(end + timedelta(days=1))
    report.rows -= int((~inside).sum())
    return bars.keep(inside)


def _volume(bars: Bars, report: QualityReport) -> NDArray[np.float64] | None:
    if bars.values.shape[1] < 5:
        return None
    volume = bars.values[:, 4]
    if volume.any():
        return volume
    report.notes.append("volume is zero throughout: taken as not reported")
    return None


def from_candles(candles: Sequence[Candle], name: str, *, calendar: ExchangeCalendar | None = None) -> CandleFile:
    """Candles of a store or a broker, checked and reported on like those of a file called `name`.

    Raises:
        InvalidMarketData: there is none, or none is usable.
    """
    report = QualityReport(name, rows=len(candles))
    if not candles:
        raise InvalidMarketData("candles", name, "there is none in the period asked for")
    zone = calendar.zone if calendar is not None else UTC
    first = candles[0]
    at = np.array([candle.opened_at.astimezone(zone).replace(tzinfo=None) for candle in candles], "datetime64[s]")
    values = np.array([[candle.open, candle.high, candle.low, candle.close, candle.volume or 0.0] for candle in candles])
    bars = clean(Bars(at, values), calendar, first.timeframe.minutes, report)
    if not len(bars.at):
        raise InvalidMarketData("candles", name, f"none is usable: {'; '.join(report.lines())}")
    return _file(first.instrument, first.timeframe, zone, bars, report)


def _file(instrument: InstrumentId, timeframe: Timeframe, zone: tzinfo, bars: Bars, report: QualityReport) -> CandleFile:
    values = bars.values
    return CandleFile(
        instrument=instrument,
        timeframe=timeframe,
        zone=zone,
        opened_at=bars.at,
        open=values[:, 0],
        high=values[:, 1],
        low=values[:, 2],
        close=values[:, 3],
        volume=_volume(bars, report),
        report=report,
    )
