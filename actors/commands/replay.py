"""`shoal replay`: is a user's state what the journal says it must be?"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import typer

from actors.commands.shared import DATABASE, PATIENCE_SECONDS, JsonFlag, StateOption, UserArgument, mongodb_url

if TYPE_CHECKING:
    from actors.replay import Replay


def replay(user: UserArgument, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Play a user's journal again and compare every event text for text, and the kept state byte for byte.

    Works also when the runtime is stopped. Exit code 1 at a difference, which is named with the record it comes after.

    Examples: `shoal replay 123`, `shoal replay 123 --json`
    """
    with ExitStack() as stack:
        found = asyncio.run(_replay(mongodb_url(state, stack), user))
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode({"is_equal": found.is_equal} | msgspec.to_builtins(found)).decode())
    else:
        since = "" if found.from_record == 1 else f", from record {found.from_record} on (older ones are no longer kept)"
        kept = "no snapshot is kept" if found.snapshot is None else f"snapshot at record {found.snapshot}"
        typer.echo(
            f"user {found.user_id}: {found.records} records, {found.events} events, {kept}, state of {found.state_bytes} bytes{since}"
        )
        difference = found.difference
        if difference is None:
            typer.echo("equal: every event text for text, the kept state byte for byte")
        else:
            typer.echo(f"differs after record {difference.record} in {difference.field}")
            typer.echo(f"  lived    {difference.lived}")
            typer.echo(f"  replayed {difference.replayed}")
    if not found.is_equal:
        raise typer.Exit(1)


async def _replay(mongodb_url: str, user: str) -> Replay:
    from actors.replay import replay_user
    from adapters.mongo import MongoJournal

    journal = MongoJournal(mongodb_url, DATABASE, patience_seconds=PATIENCE_SECONDS)
    try:
        return await replay_user(journal, user)
    finally:
        await journal.close()
