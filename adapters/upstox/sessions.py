"""Holidays and special sessions of the exchange, as Upstox publishes them, for the calendar."""

from __future__ import annotations

from datetime import date, datetime, time

import msgspec

from adapters.upstox.client import UpstoxClient, parse
from runtime.calendar import SessionTimes
from runtime.market import IST


class _Hours(msgspec.Struct, frozen=True):
    """Epoch milliseconds."""

    exchange: str
    start_time: int
    end_time: int


class _Holiday(msgspec.Struct, frozen=True):
    date: str
    holiday_type: str = ""
    closed_exchanges: list[str] = []
    open_exchanges: list[_Hours] = []


class _Status(msgspec.Struct, frozen=True):
    status: str
    last_updated: int | None = None


async def read_sessions(client: UpstoxClient, exchange: str = "NSE") -> dict[date, list[SessionTimes]]:
    """Dates of this year that differ from the regular session: empty on holidays, else the hours of that day, in IST.

    Raises:
        BrokerUnavailable: no usable answer.
    """
    holidays: list[_Holiday] = parse(await client.read("/v2/market/holidays", authorized=False), list[_Holiday])
    special: dict[date, list[SessionTimes]] = {}
    for holiday in holidays:
        day = date.fromisoformat(holiday.date)
        if exchange in holiday.closed_exchanges:
            special[day] = []
            continue
        hours = [(_clock(row.start_time), _clock(row.end_time)) for row in holiday.open_exchanges if row.exchange == exchange]
        if hours and holiday.holiday_type in {"SPECIAL_TIMING", "TRADING_HOLIDAY"}:
            special[day] = sorted(hours)
    return special


async def market_status(client: UpstoxClient, exchange: str = "NSE") -> str:
    """`NORMAL_OPEN`, `NORMAL_CLOSE`, … Raises `BrokerUnavailable`."""
    status: _Status = parse(await client.read(f"/v2/market/status/{exchange}"), _Status)
    return status.status


def _clock(milliseconds: int) -> time:
    return datetime.fromtimestamp(milliseconds / 1000, IST).time()
