"""`shoal up`: the whole system in the foreground until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actors.commands.demo import Candles, Seed, SessionDate, Speed, run_spec

DAYS = 250
"""Trading days the simulated venue has in store: one follows the other without a night between."""


def up(
    candles: Candles = None,
    session: SessionDate = None,
    seed: Seed = None,
    speed: Speed = None,
    state: Annotated[Path | None, typer.Option("--state", help="State folder, kept from run to run (default .shoal).")] = None,
    profile: Annotated[str, typer.Option("--profile", help="Settings profile: paper or demo.")] = "paper",
) -> None:
    """Start servers and actors on the simulated venue and serve commands until Ctrl-C.

    Other programs find it with `shoal env`; users come and go by commands on Redis, as by `shoal start 123`.

    Examples:
    - `shoal up`

    - `shoal up --speed 60`

    - `REDIS_URL=redis://… MONGODB_URL=mongodb://… RAY_ADDRESS=… shoal up`
    """
    import signal
    import threading

    from actors.system import System

    days = 1 if candles is not None else DAYS
    spec = run_spec(profile, state=state, candles=candles, session=session, seed=seed, speed=speed, wait_for_begin=False, days=days)
    stop = threading.Event()

    def end(number: int, frame: object) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    typer.echo("starting Valkey, MongoDB and Ray …", err=True)
    with System(spec) as system:
        typer.echo(f"up: state {system.state}, Ray {system.running.ray_address}", err=True)
        typer.echo('in another terminal: eval "$(shoal env)", shoal start 123, shoal events --follow. Ctrl-C ends it.', err=True)
        stop.wait()
        typer.echo("shutting down …", err=True)
