"""Commands for one user's session: sent, answered, shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands.shared import (
    ChannelFlag,
    Connection,
    JsonFlag,
    SettingsOption,
    StateOption,
    TimeoutOption,
    UserArgument,
    call,
    parse_data,
    parse_settings,
)

if TYPE_CHECKING:
    from runtime.events import PublicEvent

DataOption = Annotated[str | None, typer.Option("--data", metavar="JSON|@FILE", help="The command's data.")]


def start(
    user: UserArgument,
    data: DataOption = None,
    settings: SettingsOption = None,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Start a user's session, or replace the configuration of a running one.

    Examples:
    - `shoal start 123` (paper, default strategy)

    - `shoal start 123 --set strategy=ema_cross --set parameters.fast_period=5 --set risk.max_daily_loss=5000`

    - `shoal start 123 --data @session.json`
    """
    send("START_TRADING", user, merged(data, settings), pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def update(
    user: UserArgument,
    data: DataOption = None,
    settings: SettingsOption = None,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Change part of a running session's configuration.

    Example: `shoal update 123 --set risk.max_open_positions=2`
    """
    send("UPDATE_CONFIG", user, merged(data, settings), pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def stop(
    user: UserArgument,
    close: Annotated[bool, typer.Option("--close", help="Close open positions; without it they stay under their stops.")] = False,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Stop a user's session.

    Examples: `shoal stop 123`, `shoal stop 123 --close`
    """
    data = {"positions": "close" if close else "keep"}
    send("STOP_TRADING", user, data, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def pause(
    user: UserArgument, pubsub: ChannelFlag = False, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False
) -> None:
    """Take no new entries for a user; exits go on.

    Example: `shoal pause 123`
    """
    send("PAUSE_TRADING", user, {}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def resume(
    user: UserArgument, pubsub: ChannelFlag = False, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False
) -> None:
    """Lift a user's pause or risk halt.

    Example: `shoal resume 123`
    """
    send("RESUME_TRADING", user, {}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def square_off(
    user: UserArgument, pubsub: ChannelFlag = False, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False
) -> None:
    """Close all positions of a user now; the session goes on.

    Example: `shoal square-off 123`
    """
    send("SQUARE_OFF", user, {}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def send(action: str, user: str | None, data: dict[str, Any], *, pubsub: bool, timeout: float, state: Path | None, as_json: bool) -> None:
    """Send one command and print its answer.

    Raises:
        InvalidCommand: refused; before anything is sent where the message itself is wrong.
    """
    from runtime.commands import Action, InvalidCommand

    _check(action, user, data)

    async def ask(connection: Connection) -> PublicEvent:
        return await connection.client.send(Action(action), user, data, by_channel=pubsub, timeout_seconds=timeout)

    answer = call(state, ask)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(answer).decode())
    if answer.type == "COMMAND_REJECTED":
        if as_json:
            raise typer.Exit(2)
        raise InvalidCommand(str(answer.data["field"]), str(answer.data["detail"]))
    if not as_json:
        from actors.commands.render import answer_lines

        for line in answer_lines(answer):
            typer.echo(line)


def _check(action: str, user: str | None, data: dict[str, Any]) -> None:
    """The same check the runtime makes, so that a mistyped command is refused also when nothing runs."""
    import json
    from datetime import UTC, datetime

    from runtime.commands import parse_command

    message = {"action": action, "data": data} | ({} if user is None else {"user_id": user})
    parse_command(json.dumps(message).encode(), datetime.now(UTC))


def merged(data: str | None, settings: list[str] | None) -> dict[str, Any]:
    """Settings over data, object by object."""
    return _overlay(parse_data(data), parse_settings(settings))


def _overlay(base: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    merged = base | extra
    for name in base.keys() & extra.keys():
        if isinstance(base[name], dict) and isinstance(extra[name], dict):
            merged[name] = _overlay(base[name], extra[name])
    return merged
