"""`shoal instruments`: the daily list of what can be traded."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands.shared import JsonFlag, StateOption, call, profile_settings

if TYPE_CHECKING:
    from runtime.instruments import Listing, MasterDiff

SHOWN = 20
BrokerOption = Annotated[str, typer.Option("--broker", help="Whose list and symbols.")]

app = typer.Typer(name="instruments", help="The list of what can be traded: refresh it, look things up, map symbols.", no_args_is_help=True)


@app.command()
def refresh(
    file: Annotated[Path | None, typer.Argument(help="Upstox's list (.json or .csv, gzipped or not); none: download today's.")] = None,
    on: Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="The day the list is of (default today).")] = None,
    broker: BrokerOption = "upstox",
    profile: Annotated[str, typer.Option("--profile", help="Settings profile that names the address of today's list.")] = "paper",
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Load a list, refuse it when torn or old, and say what is new, expired, gone, or has another lot or freeze quantity.

    Examples: `shoal instruments refresh`, `shoal instruments refresh complete.json.gz --date 2025-12-11 --json`
    """
    import asyncio

    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from actors.brokerage import endpoints
    from actors.instruments import download_listings, read_listings
    from actors.instruments import refresh as run
    from configs.accounts import UpstoxSettings
    from runtime.market import IST

    if file is None:
        upstox = profile_settings(profile).upstox or UpstoxSettings()
        listings: list[Listing] = asyncio.run(download_listings(endpoints(upstox)))
    else:
        listings = read_listings(file)
    today = (on or datetime.now(IST)).date()
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task(f"{len(listings)} instruments", total=None)

        def moved(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        diff = call(state, lambda connection: run(connection.store, broker, listings, today, progress=moved))
    if as_json:
        typer.echo(msgspec.json.encode(diff).decode())
    else:
        _report(diff)


@app.command()
def find(
    text: Annotated[str, typer.Argument(help="An underlying (NSE:NIFTY) for its contracts, or a part of a symbol.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 50,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Look for listed instruments.

    Examples: `shoal instruments find NSE:BANKNIFTY`, `shoal instruments find 26DEC52000CE --json`
    """
    import msgspec

    from actors.instruments import find as run

    found = call(state, lambda connection: run(connection.store, text, limit=limit))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("symbol", "kind", "expiry", "strike", "lot", "tick", "freeze")
    for each in found:
        strike = "" if each.strike is None else f"{each.strike:g}"
        table.add_row(
            each.id, each.kind, str(each.expiry or ""), strike, str(each.lot_size), str(each.tick_size), str(each.freeze_quantity or "")
        )
    Console().print(table if found else f"nothing listed fits {text!r}")


@app.command()
def show(
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT", help="Canonical symbol.")],
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """All that is known of one instrument, and what each broker calls it.

    Example: `shoal instruments show NSE:BANKNIFTY26DECFUT`
    """
    import msgspec

    from actors.instruments import show as run

    found = call(state, lambda connection: run(connection.store, instrument))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    symbols: list[dict[str, Any]] = found.pop("symbols")
    for name, value in found.items():
        if value is not None:
            typer.echo(f"{name:<16} {value}")
    for symbol in symbols:
        owner = "" if symbol["user_id"] is None else f"  (user {symbol['user_id']})"
        typer.echo(f"{symbol['broker']:<16} {symbol['key']}{owner}")


@app.command("map")
def map_symbol(
    instrument: Annotated[str, typer.Argument(metavar="INSTRUMENT", help="Canonical symbol.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="What the broker calls it.")],
    user: Annotated[str | None, typer.Option("--user", help="For this user's account only.")] = None,
    broker: BrokerOption = "upstox",
    state: StateOption = None,
) -> None:
    """Say by hand what a broker calls an instrument; a user's own name for it outlives every refresh.

    Example: `shoal instruments map NSE:NIFTY26DECFUT "NSE_FO|49229" --user 123`
    """
    from actors.instruments import map_symbol as run

    call(state, lambda connection: run(connection.store, broker, instrument, key, user))
    typer.echo(f"{broker} calls {instrument} {key!r}{'' if user is None else f' for user {user}'}")


def _report(diff: MasterDiff) -> None:
    typer.echo(f"{diff.listed} listed: {len(diff.new)} new, {len(diff.expired)} expired, {len(diff.delisted)} gone otherwise")
    for change in diff.changed[:SHOWN]:
        typer.echo(f"  {change.instrument}: {change.field} {change.before} → {change.after}")
    if len(diff.changed) > SHOWN:
        typer.echo(f"  and {len(diff.changed) - SHOWN} more changes; --json has all")
