"""`shoal served`: whom a signal has reached, and whom not yet."""

from __future__ import annotations

from typing import Annotated

import typer

from actors.commands.shared import JsonFlag, StateOption, call

USERS_SHOWN = 20


def served(
    signal_id: Annotated[str, typer.Argument(metavar="SIGNAL_ID", help="The whole id, as `shoal events` shows it.")],
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far one signal has come: on the stream, followed by which hosts, answered by how many users, missing whom.

    Exit code 1 while somebody is missing.

    Examples: `shoal served ema_cross:NSE:NIFTY:5m:5f0c2a9b:20261120T0410`, `shoal served … --json`
    """
    import msgspec

    from actors.fan_out import fan_out

    found = call(state, lambda connection: fan_out(connection.bus, connection.store, signal_id))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        typer.echo(f"{found.signal_id}: {found.state}{'' if found.entry_id is None else f', entry {found.entry_id}'}")
        for host, done in found.hosts.items():
            typer.echo(f"  {host:<20} {'done' if done else 'not yet'}")
        more = len(found.missing) - USERS_SHOWN
        missing = ", ".join(found.missing[:USERS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        typer.echo(f"  {found.served} users have decided; missing: {missing or 'nobody'}")
    if found.missing:
        raise typer.Exit(1)
