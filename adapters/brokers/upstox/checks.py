"""Whether an account is ready: what is looked at before its first order of a day. Nothing is sent that changes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from adapters.brokers.upstox.account import AccountSettings
from adapters.brokers.upstox.books import Books
from adapters.upstox import UpstoxClient
from adapters.upstox.instruments import InstrumentTable
from adapters.upstox.sessions import market_status, read_sessions
from runtime.accounts import PreflightCheck
from runtime.errors import BrokerError
from runtime.market import IST

SKEW_SECONDS_MAX = 2.0


async def run_checks(
    client: UpstoxClient, books: Books, table: InstrumentTable, settings: AccountSettings, now: datetime
) -> list[PreflightCheck]:
    """Session, registered address, funds, clock, exchange, instrument list; in this order. `now` is the venue's clock."""

    async def session() -> PreflightCheck:
        await client.read("/v2/user/profile")
        return PreflightCheck(name="session", passed=True, detail="the access token is good")

    async def address() -> PreflightCheck:
        registered = await books.addresses()
        return _address(settings, [name for name in (registered.primary_ip, registered.secondary_ip) if name])

    async def funds() -> PreflightCheck:
        margin = (await books.funds()).equity
        available = None if margin is None else margin.available_margin
        return PreflightCheck(name="funds", passed=available is not None and available > 0, detail=f"available margin {available}")

    async def clock() -> PreflightCheck:
        skew = await client.clock_skew()
        text = f"this machine is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the broker"
        fix = "" if abs(skew) <= SKEW_SECONDS_MAX else f": more than {SKEW_SECONDS_MAX:.0f} s, synchronise it (NTP)"
        return PreflightCheck(name="clock", passed=abs(skew) <= SKEW_SECONDS_MAX, detail=text + fix)

    async def exchange() -> PreflightCheck:
        today = now.astimezone(IST).date()
        special, status = await read_sessions(client), await market_status(client)
        hours = special.get(today)
        if hours == []:
            return PreflightCheck(name="exchange", passed=False, detail=f"{today} is a holiday of NSE by Upstox's list")
        times = "" if hours is None else f", trades {', '.join(f'{start:%H:%M}-{end:%H:%M}' for start, end in hours)} today"
        return PreflightCheck(name="exchange", passed=True, detail=f"NSE is {status}{times}; no holiday of Upstox's list")

    checks: list[tuple[str, Callable[[], Awaitable[PreflightCheck]]]] = [
        ("session", session),
        ("address", address),
        ("funds", funds),
        ("clock", clock),
        ("exchange", exchange),
    ]
    return [await _checked(name, check) for name, check in checks] + [_instruments(table, now)]


async def _checked(name: str, check: Callable[[], Awaitable[PreflightCheck]]) -> PreflightCheck:
    try:
        return await check()
    except BrokerError as error:
        return PreflightCheck(name=name, passed=False, detail=str(error))


def _address(settings: AccountSettings, registered: list[str]) -> PreflightCheck:
    egress = settings.egress
    seen = egress.public_address or egress.local_address
    if seen is None:
        detail = f"registered with Upstox: {', '.join(registered) or 'none'}; set this account's egress to be able to compare"
        return PreflightCheck(name="address", passed=False, detail=detail)
    if seen in registered:
        return PreflightCheck(name="address", passed=True, detail=f"orders leave by {seen}, which is registered")
    detail = f"orders leave by {seen}, registered is {', '.join(registered) or 'none'}: register it or change the egress"
    return PreflightCheck(name="address", passed=False, detail=detail)


def _instruments(table: InstrumentTable, now: datetime) -> PreflightCheck:
    today = now.astimezone(IST).date()
    passed = table.loaded_on == today
    detail = f"{len(table)} instruments of {table.loaded_on}" + ("" if passed else f", but today is {today}: `shoal instruments refresh`")
    return PreflightCheck(name="instruments", passed=passed, detail=detail)
