"""`shoal doctor`: is everything in order here, and what to do where it is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from actors.commands.shared import JsonFlag, StateOption

if TYPE_CHECKING:
    from actors.doctor import Check


def doctor(state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Check machine, servers, Ray, clocks, secrets and ports. Exit code 1 if anything fails.

    Examples: `shoal doctor`, `shoal doctor --json`
    """
    checks = _checks(state)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(checks).decode())
    else:
        for check in checks:
            typer.echo(f"{typer.style(f'{check.verdict:<5}', fg=_COLOURS[check.verdict])} {check.name:<24} {check.detail}")
            if check.fix:
                typer.echo(f"{'':<30} → {check.fix}")
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(1)


_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def _checks(state: Path | None) -> list[Check]:
    from actors.doctor import Check, Verdict, check_machine, check_running, usual_state
    from configs.running import find_state, read_running
    from runtime.errors import ServerUnavailable

    folder = find_state(state) or usual_state(state)
    checks = list(check_machine(folder))
    try:
        running = read_running(state)
    except ServerUnavailable as error:
        return [*checks, Check("running system", Verdict.WARN, "none", str(error))]
    return [*checks, *asyncio.run(check_running(running))]
