"""The exchange's holidays and special sessions, as Upstox tells them, in our calendar and in the checks before the first order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, time

import pytest

from adapters.brokers.upstox import AccountSettings
from adapters.brokers.upstox.books import Books
from adapters.brokers.upstox.checks import run_checks
from adapters.simulated import SimulationConfig
from adapters.upstox.sessions import market_status, read_sessions
from configs.calendar import load_calendar
from tests.builders import DAY, at
from tests.contracts.upstox_rig import UpstoxRig

HOLIDAY, EVENING = date(2026, 11, 27), date(2026, 11, 8)
"""A Friday that our own calendar takes for a trading day, and a Sunday."""


@pytest.fixture
async def rig() -> AsyncIterator[UpstoxRig]:
    simulation = SimulationConfig(sessions=(DAY,), special_sessions={HOLIDAY: (), EVENING: ((time(18, 15), time(19, 15)),)})
    async with UpstoxRig(simulations=(simulation,), holidays={HOLIDAY: "Election"}) as ready:
        yield ready


async def test_a_holiday_closes_the_calendar_and_a_special_session_opens_it(rig: UpstoxRig) -> None:
    usual = load_calendar()
    calendar = usual.extended(await read_sessions(rig.client()))
    assert (usual.times(HOLIDAY), calendar.times(HOLIDAY)) == (((time(9, 15), time(15, 30)),), ())
    assert (usual.times(EVENING), calendar.times(EVENING)) == ((), ((time(18, 15), time(19, 15)),))
    assert calendar.times(DAY) == ((time(9, 15), time(15, 30)),)


async def test_the_status_of_the_exchange_is_the_venues_word(rig: UpstoxRig) -> None:
    assert await market_status(rig.client()) == "NORMAL_OPEN"
    await rig.advance_to(at("15:31"))
    assert await market_status(rig.client()) == "NORMAL_CLOSE"


@pytest.mark.parametrize(
    ("day", "passed", "detail"),
    [
        (DAY, True, "NSE is NORMAL_OPEN; no holiday of Upstox's list"),
        (EVENING, True, "NSE is NORMAL_OPEN, trades 18:15-19:15 today; no holiday of Upstox's list"),
        (HOLIDAY, False, "2026-11-27 is a holiday of NSE by Upstox's list"),
    ],
    ids=["usual", "special", "holiday"],
)
async def test_the_checks_before_the_first_order_know_todays_session(day: date, passed: bool, detail: str, rig: UpstoxRig) -> None:
    client = rig.client()
    checks = await run_checks(client, Books(client), rig.table, AccountSettings(), at("10:00", day))
    (exchange,) = (check for check in checks if check.name == "exchange")
    assert (exchange.passed, exchange.detail) == (passed, detail)
