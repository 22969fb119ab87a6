"""Commands for the platform as a whole."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from actors.commands.session import send
from actors.commands.shared import ChannelFlag, JsonFlag, StateOption, TimeoutOption


def halt(
    reason: Annotated[str, typer.Option("--reason", help="Why; every user is told.")] = "halted by an operator",
    close: Annotated[bool, typer.Option("--close", help="Also close every open position.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Lift the halt instead.")] = False,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """The kill switch: no entries for anyone until it is lifted; exits and cancels still leave.

    Examples: `shoal halt --reason "exchange trouble"`, `shoal halt --close`, `shoal halt --resume`
    """
    if resume:
        send("RESUME_ALL", None, {}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)
    else:
        data = {"reason": reason, "positions": "close" if close else "keep"}
        send("HALT_ALL", None, data, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def resume_all(pubsub: ChannelFlag = False, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Lift the kill switch; the same as `shoal halt --resume`.

    Example: `shoal resume-all`
    """
    send("RESUME_ALL", None, {}, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def env(state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Print where the running system's servers are, for the shell. The URLs hold passwords.

    Example: `eval "$(shoal env)"`
    """
    from configs.running import read_running

    variables = read_running(state).environment()
    if as_json:
        import json

        typer.echo(json.dumps(variables))
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
