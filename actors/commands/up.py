"""`shoal up`: the whole system in the foreground until Ctrl-C."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands.demo import Candles, Seed, SessionDate, Speed, run_spec

if TYPE_CHECKING:
    from actors.services import RunSpec
    from actors.upstox_sim import LocalVenue

USERS = 10
"""Customers of a local Upstox."""
DAYS = 250
"""Trading days the simulated venue has in store: one follows the other without a night between."""


def up(
    candles: Candles = None,
    session: SessionDate = None,
    seed: Seed = None,
    speed: Speed = None,
    state: Annotated[Path | None, typer.Option("--state", help="State folder, kept from run to run (default .shoal).")] = None,
    profile: Annotated[str, typer.Option("--profile", help="Settings profile: paper, demo or upstox-sim.")] = "paper",
) -> None:
    """Start servers and actors on the simulated venue and serve commands until Ctrl-C.

    Other programs find it with `shoal env`; users come and go by commands on Redis, as by `shoal start 123`.

    Examples:
    - `shoal up`

    - `shoal up --speed 60`

    - `shoal up --profile upstox-sim` (ten users trade live at a local Upstox, a minute a second)

    - `REDIS_URL=redis://… MONGODB_URL=mongodb://… RAY_ADDRESS=… shoal up`
    """
    import signal
    import threading

    from actors.live_services import check_packages
    from actors.system import System

    days = 1 if candles is not None or profile == "upstox-sim" else DAYS
    spec = run_spec(profile, state=state, candles=candles, session=session, seed=seed, speed=speed, wait_for_begin=False, days=days)
    check_packages(spec)
    stop = threading.Event()

    def end(number: int, frame: object) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    typer.echo("starting Valkey, MongoDB and Ray …", err=True)
    with venue_of(spec) as venue, System(spec) as system:
        typer.echo(f"up: state {system.state}, Ray {system.running.ray_address}", err=True)
        typer.echo('in another terminal: eval "$(shoal env)", shoal start 123, shoal events --follow. Ctrl-C ends it.', err=True)
        if venue is not None:
            _begin(spec, venue)
        stop.wait()
        typer.echo("shutting down …", err=True)


def venue_of(spec: RunSpec) -> AbstractContextManager[LocalVenue | None]:
    """The local Upstox of the profile `upstox-sim`; nothing for all others."""
    from actors.upstox_sim import PROFILE, LocalVenue

    if spec.profile != PROFILE:
        return nullcontext()
    return LocalVenue(speed=spec.speed or 60.0, users=USERS, seed=spec.seed, session=spec.sessions[0].isoformat())


def _begin(spec: RunSpec, venue: LocalVenue) -> None:
    import asyncio

    from actors.upstox_sim import begin, refused

    answers = asyncio.run(begin(spec, venue.customers()))
    venue.begin()
    for line in refused(answers):
        typer.echo(f"not started: {line}", err=True)
    typer.echo(f"{len(answers) - len(refused(answers))} users trade live at the local Upstox", err=True)
