"""Commands that move users between hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from actors.commands.session import send
from actors.commands.shared import ChannelFlag, JsonFlag, StateOption, TimeoutOption, UserArgument


def migrate(
    user: UserArgument,
    to: Annotated[str, typer.Option("--to", metavar="HOST", help="A packed host, or `dedicated` for a process of his own.")],
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 30.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Move a running session to another host; its stops are watched all the while. The answer comes from the new host.

    Examples: `shoal migrate 123 --to packed-1`, `shoal migrate 123 --to dedicated`
    """
    send("MIGRATE_USER", user, {"to": to}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def drain(
    host: Annotated[str, typer.Argument(help="A packed host, as `shoal status` lists it.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let users be placed there again.")] = False,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 30.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Move everybody off a packed host and place nobody there any more; the event HOST_DRAINED tells when it is empty.

    Examples: `shoal drain packed-0`, `shoal drain packed-0 --undo`
    """
    send("DRAIN_HOST", None, {"host": host, "undo": undo}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)
