"""The `shoal` command: finds the running system, talks to it, and turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated

import typer

from runtime.errors import InvalidInput, ShoalError

COMMANDS: Mapping[str, str] = {
    "demo": "actors.commands.demo:demo",
    "up": "actors.commands.up:up",
    "start": "actors.commands.session:start",
    "update": "actors.commands.session:update",
    "stop": "actors.commands.session:stop",
    "pause": "actors.commands.session:pause",
    "resume": "actors.commands.session:resume",
    "subscribe": "actors.commands.subscription:subscribe",
    "unsubscribe": "actors.commands.subscription:unsubscribe",
    "pause-subscription": "actors.commands.subscription:pause_subscription",
    "resume-subscription": "actors.commands.subscription:resume_subscription",
    "square-off": "actors.commands.session:square_off",
    "signal": "actors.commands.signal:signal",
    "migrate": "actors.commands.hosts:migrate",
    "drain": "actors.commands.hosts:drain",
    "halt": "actors.commands.platform:halt",
    "resume-all": "actors.commands.platform:resume_all",
    "status": "actors.commands.status:status",
    "events": "actors.commands.events:events",
    "explain": "actors.commands.explain:explain",
    "served": "actors.commands.served:served",
    "replay": "actors.commands.replay:replay",
    "scan": "actors.commands.scan:scan",
    "backtest": "actors.commands.backtest:backtest",
    "sweep": "actors.commands.sweep:sweep",
    "walk-forward": "actors.commands.walk_forward:walk_forward",
    "backtests": "actors.commands.backtests:backtests",
    "check-bias": "actors.commands.check_bias:check_bias",
    "doctor": "actors.commands.doctor:doctor",
    "env": "actors.commands.platform:env",
    "schema": "actors.commands.schema:schema",
    "bench": "actors.commands.bench:bench",
    "preflight": "actors.commands.preflight:preflight",
}
GROUPS: Mapping[str, str] = {
    "canary": "actors.commands.canary",
    "credentials": "actors.commands.credentials",
    "instruments": "actors.commands.instruments",
}
"""Commands with commands of their own."""
BAD_INPUT, FAILURE, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="shoal",
    help="One signal, ten thousand traders: a multi-tenant algorithmic trading runtime.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; works after any command.")] = False,
) -> None:
    """The option is taken out of the arguments before they are read, see `main`."""


for name, target in COMMANDS.items():
    module, _, function = target.partition(":")
    app.command(name)(getattr(import_module(module), function))
for name, module in GROUPS.items():
    app.add_typer(import_module(module).app, name=name)


def main() -> None:
    """Exit codes: 0 done, 1 it failed, 2 what was asked for is wrong, 130 interrupted."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments)
    except ShoalError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        typer.echo(f"shoal: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_INPUT if isinstance(error, InvalidInput) else FAILURE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
