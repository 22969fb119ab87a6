"""`shoal events`: what users hear, from the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands.shared import Connection, JsonFlag, StateOption, call

if TYPE_CHECKING:
    from runtime.events import PublicEvent


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with each event as it comes.")] = False,
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    after: Annotated[
        str | None, typer.Option("--from", metavar="ID", help="After this stream id; default: all, or with --follow only new ones.")
    ] = None,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show events, one a line. With --json each line is the event with its stream `id`.

    Examples: `shoal events --follow`, `shoal events --user 123 --json`, `shoal events --from 1795147200000-0`
    """
    import re

    from runtime.errors import InvalidInput

    if after is not None and not re.fullmatch(r"\d{1,20}(-\d{1,20})?", after):
        raise InvalidInput("--from", after, "give a stream id such as 1795147200000-0, or 0 for the beginning")

    async def show(connection: Connection) -> None:
        client = connection.client
        found = client.follow(after=after or "$", user_id=user) if follow else client.events(after=after or "0", user_id=user)
        async for entry_id, event in found:
            _print(entry_id, event, as_json=as_json)

    call(state, show)


def _print(entry_id: str, event: PublicEvent, *, as_json: bool) -> None:
    import msgspec

    from actors.commands.render import event_line

    if as_json:
        typer.echo(msgspec.json.encode({"id": entry_id} | msgspec.to_builtins(event)).decode())
        return
    from rich import get_console
    from rich.text import Text

    from actors.commands.render import style

    get_console().print(Text(event_line(event), style=style(event.type)), soft_wrap=True)
