"""Commands for the platform as a whole."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from actors.commands.session import send
from actors.commands.shared import ChannelFlag, JsonFlag, StateOption, TimeoutOption


def halt(
    reason: Annotated[str, typer.Option("--reason", help="Why; every user is told.")] = "halted by an operator",
    user: Annotated[str | None, typer.Option("--user", help="Only this user.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Only this strategy, by name or key; with --user, his alone.")] = None,
    close: Annotated[bool, typer.Option("--close", help="Also close the positions it covers.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Lift the halt of exactly this scope instead.")] = False,
    pubsub: ChannelFlag = False,
    timeout: TimeoutOption = 15.0,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """The kill switch: no entries until it is lifted, for everybody, a strategy, a user or one subscription; exits still leave.

    `shoal status` shows what is halted and which hosts have acknowledged it.

    Examples:
    - `shoal halt --reason "exchange trouble"`, `shoal halt --close`, `shoal halt --resume`

    - `shoal halt --strategy ema_cross`, `shoal halt --user 123 --close`, `shoal halt --user 123 --resume`
    """
    scope = {(False, False): "platform", (True, False): "user", (False, True): "strategy"}.get(
        (user is not None, strategy is not None), "subscription"
    )
    data = {"scope": scope} | ({} if strategy is None else {"strategy": strategy})
    if not resume:
        data |= {"reason": reason, "positions": "close" if close else "keep"}
    send("RESUME" if resume else "HALT", user, data, pubsub=pubsub, timeout=timeout, state=state, as_json=as_json)


def resume_all(pubsub: ChannelFlag = False, timeout: TimeoutOption = 15.0, state: StateOption = None, as_json: JsonFlag = False) -> None:
    """Lift the halt of the whole platform; the same as `shoal halt --resume`.

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
