"""`shoal preflight`: is an account ready for live orders? Looks, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from actors.commands.shared import Connection, JsonFlag, StateOption, UserArgument, call, profile_settings
from runtime.errors import BrokerError, ShoalError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.accounts import PreflightCheck


def preflight(
    user: UserArgument,
    broker: str = typer.Option("upstox", "--broker", help="At which broker."),
    profile: str = typer.Option("live", "--profile", help="Settings profile that names the broker's addresses and the account."),
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Check what must be right before a user's first live order of the day: token, address, funds, clock, exchange, instruments, calendar.

    Exit code 1 when a check fails. Sends no order.

    Examples:
    - `shoal preflight 123`

    - `shoal preflight 123 --json`
    """
    checks = call(state, lambda connection: _check(connection, user, broker, profile, state))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(checks).decode())
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.passed else 'FAIL'} {check.name:<12} {check.detail}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


async def _check(connection: Connection, user: str, broker: str, profile: str, state: Path | None) -> list[PreflightCheck]:
    from datetime import UTC, datetime

    from actors.brokerage import Brokerage
    from actors.commands.credentials import key_file
    from adapters.vault import EncryptedVault
    from configs.calendar import load_calendar
    from runtime.accounts import PreflightCheck
    from runtime.market import IST
    from runtime.session import SessionConfig

    settings = profile_settings(profile)
    now = datetime.now(UTC)
    vault = EncryptedVault(connection.store, key_file(state))
    brokerage = Brokerage(vault, connection.store, upstox=settings.upstox, accounts=settings.accounts, now=lambda: now, fetches=False)
    today = now.astimezone(IST).date()
    open_today = bool(load_calendar().times(today))
    detail = f"{today} is {'a trading day' if open_today else 'no trading day by the calendar'}"
    calendar = PreflightCheck(name="calendar", passed=open_today, detail=detail)
    try:
        account = await brokerage.connect(user, SessionConfig(broker=broker, credentials=f"{user}/{broker}"))
    except (BrokerError, ShoalError) as error:
        return [PreflightCheck(name="account", passed=False, detail=str(error)), calendar]
    try:
        return [*await account.preflight(), calendar]
    finally:
        await account.close()
