"""`shoal status`: who trades where, or one user's session in full."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.commands.session import send
from actors.commands.shared import Connection, JsonFlag, StateOption, TimeoutOption, call

_ROWS_MAX = 50
_COLUMNS = ("_id", "status", "mode", "placement", "host", "epoch", "updated_at")


def status(
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="Ask this user's trader.")] = None,
    every: Annotated[bool, typer.Option("--all", help=f"All sessions, not only {_ROWS_MAX} running ones.")] = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Sessions and platform state; with USER, status, positions, orders and the day's figures from the trader itself.

    Examples: `shoal status`, `shoal status 123`, `shoal status --all --json`
    """
    if user is not None:
        send("GET_STATUS", user, {}, pubsub=False, timeout=timeout, state=state, as_json=as_json)
        return
    sessions, platform = _read(state)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"platform": platform, "sessions": sessions}).decode())
        return
    _print(sessions, platform, every=every)


def _read(state: Path | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    async def read(connection: Connection) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        sessions = await connection.store.find("sessions", {}, sort="_id")
        halts = [halt for halt in await connection.store.find("platform", {"active": True}) if str(halt["_id"]).startswith("halt:")]
        return sessions, {"active": bool(halts), "halts": halts}

    return call(state, read)


def _print(sessions: list[dict[str, Any]], platform: dict[str, Any], *, every: bool) -> None:
    from rich import box, get_console
    from rich.table import Table

    counts = Counter(str(session.get("status", "unknown")) for session in sessions)
    summary = ", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items())) or "none yet: `shoal start USER`"
    if not platform["halts"]:
        typer.echo("kill switch: off")
    for halt in platform["halts"]:
        missing = sorted(set(halt["told"]) - set(halt["acknowledged"]))
        roll = f"waiting for {', '.join(missing)}" if missing else f"acknowledged by {_count(halt)}"
        typer.echo(f"kill switch: ON for {str(halt['_id']).removeprefix('halt:')}, {halt['reason']} ({roll})")
    typer.echo(f"sessions: {summary}")
    rows = [session for session in sessions if every or session.get("active")]
    shown = rows if every else rows[:_ROWS_MAX]
    if not shown:
        return
    table = Table("user", *_COLUMNS[1:], box=box.SIMPLE)
    for session in shown:
        table.add_row(*(_cell(session.get(column)) for column in _COLUMNS))
    get_console().print(table)
    if len(shown) < len(rows):
        typer.echo(f"{len(rows) - len(shown)} more: shoal status --all")


def _count(halt: dict[str, Any]) -> str:
    return f"{len(halt['acknowledged'])} hosts, {sum(halt['acknowledged'].values())} traders"


def _cell(value: Any) -> str:
    from datetime import datetime

    from runtime.market import IST

    if isinstance(value, datetime):
        return f"{value.astimezone(IST):%Y-%m-%d %H:%M:%S}"
    return "" if value is None else str(value)
