"""A strategy over a file of candles: what it would have said, candle by candle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import strategies
from adapters.candle_files import CandleFile, read_candles
from configs.calendar import load_calendar
from runtime.calendar import ExchangeCalendar
from runtime.market import Candle
from runtime.signals import Target
from runtime.strategy import MarketContext, Strategy


def scan(
    strategy: str,
    parameters: Mapping[str, object],
    candle_file: CandleFile | Path | str,
    start: date | None = None,
    end: date | None = None,
    every_candle: bool = False,
    *,
    trust_name: bool = False,
) -> Iterator[dict[str, Any]]:
    """Run a strategy over the NSE candles of a file and yield a JSON-ready line per signal (or per candle).

    A line is `time` (the candle's start, ISO with zone), `rule` and `direction` (None without a signal), `price` (the close)
    and `context` (every indicator value). Candles before `start` warm the strategy up and yield nothing.

    Args:
        strategy: name in `strategies.REGISTRY`.
        parameters: values or their text.
        candle_file: a path (see `adapters.candle_files.read_candles`), or a file read already, whose report can then be shown.
        start: first exchange date to report.
        end: last one, included.
        every_candle: also report candles without a signal.
        trust_name: let the file's name decide over its instrument column.

    Raises:
        InvalidConfig: unknown strategy or bad parameter; raised at once, before the first line.
        InvalidMarketData: the file cannot be used; raised at once.
    """
    runner = strategies.create(strategy, parameters)
    calendar = load_calendar()
    if isinstance(candle_file, CandleFile):
        file = candle_file
    else:
        file = read_candles(candle_file, end=end, calendar=calendar, trust_name=trust_name)
    return _lines(runner, file, calendar, start or date.min, end or date.max, every_candle)


def _lines(
    strategy: Strategy, file: CandleFile, calendar: ExchangeCalendar, start: date, end: date, every_candle: bool
) -> Iterator[dict[str, Any]]:
    on_candle, describe = strategy.on_candle, strategy.describe
    for day, rows in file.day_rows.items():
        bounds = calendar.bounds(day)
        if bounds is None or day > end:
            continue
        context = MarketContext(session_open=bounds[0], session_close=bounds[1])
        for candle in file.candles(rows):
            if candle.volume is not None:
                context = MarketContext(session_open=bounds[0], session_close=bounds[1], volume=candle.volume)
            target = on_candle(candle, context)
            if day >= start and (target is not None or every_candle):
                yield _line(candle, target, describe() if target is None else target.context)


def _line(candle: Candle, target: Target | None, context: dict[str, float | str | None]) -> dict[str, Any]:
    return {
        "time": candle.opened_at.isoformat(),
        "rule": target.rule if target else None,
        "direction": target.direction if target else None,
        "price": candle.close,
        "context": context,
    }
