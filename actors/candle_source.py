"""Where a backtest's candles come from: a file, the store, or a broker's history. All are checked and reported on alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from adapters.candle_files import CandleFile, from_candles, read_candles
from configs.calendar import calendar_for
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput
from runtime.market import Candle, InstrumentId, Segment, Timeframe

STORE = "store"
History: TypeAlias = Callable[[InstrumentId, Timeframe, datetime, datetime], Awaitable[list[Candle]]]
"""Closed candles, ascending, start included, end not: `Store.read_candles` and `Feed.history` are of this shape."""

_PAIR = re.compile(r"^([A-Z0-9]{2,10}?)[-_/]?(USDT|USDC|USD)(?=[_.]|$)")
_AMERICAN = frozenset({"NYSE", "NASDAQ", "ARCA", "AMEX", "US"})
_INDIAN = re.compile(r"^(BANKNIFTY|NIFTY|FINNIFTY|MIDCPNIFTY|SENSEX|INDIAVIX)")


class CandleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which candles, and what cannot be told from them.

    `source`: a file, `store:INSTRUMENT`, or `BROKER:INSTRUMENT`. `start` and `end`: exchange dates, both included; the store
    and a broker are asked for `warm_up` days before `start` too, and of a file everything before `start` is warm-up.
    `instrument`, `zone` (IANA name) and `label` (whether rows carry their candle's start or end) tell what a file does not say.
    """

    source: str
    instrument: InstrumentId | None = None
    timeframe: Timeframe | None = None
    start: date | None = None
    end: date | None = None
    zone: str | None = None
    label: Literal["start", "end"] | None = None
    trust_name: bool = False
    warm_up: int = 30


def load_candles(request: CandleRequest, histories: Callable[[str], History]) -> tuple[CandleFile, ExchangeCalendar]:
    """Read, clean and report; the calendar is that of the instrument's exchange.

    `histories` gives the history of the store or of a broker by its name; it is asked only when the source names one, and
    raises `InvalidInput` for a name that it does not know.

    Raises:
        InvalidInput: no such file, an unknown zone or source; or see `read_candles`.
    """
    path = Path(request.source)
    if path.is_file():
        return _from_file(request, path)
    name, colon, instrument = request.source.partition(":")
    if not (colon and instrument):
        raise InvalidInput(
            "--candles", request.source, "is not a file; name one, or store:INSTRUMENT, or BROKER:INSTRUMENT such as upstox:NSE:BANKNIFTY"
        )
    return asyncio.run(_from_history(request, histories(name), instrument))


def _from_file(request: CandleRequest, path: Path) -> tuple[CandleFile, ExchangeCalendar]:
    instrument = request.instrument or guess_instrument(path)
    calendar = exchange_calendar(instrument)
    file = read_candles(
        path,
        instrument if request.instrument is not None or not _INDIAN.match(path.name) else None,
        end=request.end,
        calendar=calendar,
        timeframe=request.timeframe,
        label=request.label,
        zone=_zone(request.zone),
        trust_name=request.trust_name,
    )
    return file, calendar


async def _from_history(request: CandleRequest, history: History, instrument: InstrumentId) -> tuple[CandleFile, ExchangeCalendar]:
    calendar = exchange_calendar(instrument)
    if request.start is None or request.end is None:
        raise InvalidInput("--from/--to", None, f"say the first and the last day to read from {request.source}")
    first = datetime.combine(request.start - timedelta(days=request.warm_up), datetime.min.time(), calendar.zone)
    last = datetime.combine(request.end + timedelta(days=1), datetime.min.time(), calendar.zone)
    candles = await history(instrument, request.timeframe or Timeframe.M1, first.astimezone(UTC), last.astimezone(UTC))
    return from_candles(candles, request.source, calendar=calendar), calendar


def exchange_calendar(instrument: InstrumentId) -> ExchangeCalendar:
    """As `configs.calendar.calendar_for`, for shares of the United States too."""
    return calendar_for(instrument, Segment.US if instrument.partition(":")[0] in _AMERICAN else None)


def guess_instrument(path: Path) -> InstrumentId:
    """From the file's name: an Indian index, or a pair such as BTCUSDT; anything else must be said.

    Raises:
        InvalidInput: the name does not tell.
    """
    name = path.name.upper()
    if found := _INDIAN.match(name):
        return f"NSE:{found[1]}"
    if found := _PAIR.match(name):
        return f"{found[1]}/{found[2]}"
    raise InvalidInput("--instrument", None, f"{path.name} does not tell what it holds: say it, such as NSE:RELIANCE, BTC/USDT or CME:MES")


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput("--zone", name, "is not a time zone; write it as Asia/Kolkata, America/New_York or UTC") from error
