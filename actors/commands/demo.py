"""`shoal demo`: everything on this machine, one session, no keys and no accounts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import date

    from rich.progress import TaskID
    from rich.table import Table

    from actors.day import Day
    from actors.market_progress import MarketStatistics
    from actors.services import RunSpec

SESSION_MINUTES = 375
ROWS_SHOWN = 25
PROFILES = ("demo", "paper", "upstox-sim")

Speed = Annotated[str | None, typer.Option("--speed", help="Venue seconds per second, or `max` for as fast as everybody follows.")]
Candles = Annotated[Path | None, typer.Option("--candles", help="Replay real 1-minute candles from this Parquet or CSV file.")]
SessionDate = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Session day.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the simulated venue (default 7).")]


def demo(
    users: Annotated[int, typer.Option("--users", min=1, max=500, help="How many users trade.")] = 25,
    candles: Candles = None,
    session: SessionDate = None,
    seed: Seed = None,
    speed: Speed = None,
    out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the figures to this file (`-`: standard output).")
    ] = None,
    state: Annotated[Path, typer.Option("--state", help="State folder; what an earlier demo left there is removed.")] = Path(".shoal/demo"),
) -> None:
    """Boot servers and actors, start the users by publishing on Redis, play one session, print what happened.

    Examples:
    - `shoal demo`

    - `shoal demo --users 50 --speed 60 --seed 11`

    - `shoal demo --candles BANKNIFTY.parquet --date 2024-01-17 --users 50 --json out.json`
    """
    import json
    import sys

    from rich.console import Console

    from actors.demo import run_demo
    from actors.system import System

    spec = run_spec("demo", state=state, candles=candles, session=session, seed=seed, speed=speed, wait_for_begin=True)
    _clear(state)
    system = System(spec)
    console = Console(stderr=True)
    view = _View(console, spec)
    with view:
        result = run_demo(system, users, on_stage=view.stage, on_progress=view.progress)
    text = json.dumps(result, indent=2)
    if str(out) == "-":
        sys.stdout.write(text + "\n")
        return
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    Console().print(_summary(result))


def run_spec(
    profile: str,
    *,
    state: Path | None,
    candles: Path | None,
    session: datetime | None,
    seed: int | None,
    speed: str | None,
    wait_for_begin: bool,
    days: int = 1,
) -> RunSpec:
    """The profile's settings with the options laid over them. Raises `InvalidInput` naming the one that is wrong."""
    import os

    from actors.market_recorder import TicksKept
    from actors.services import DEFAULT_SESSION, RunSpec, candles_for
    from configs.settings import Profile, load_settings

    if profile not in PROFILES:
        raise InvalidInput("--profile", profile, f"must be one of {', '.join(PROFILES)}")

    cores = os.cpu_count() or 1
    if candles is not None and not candles.is_file():
        raise InvalidInput("--candles", str(candles), "is not a file")
    if candles is not None and session is None:
        raise InvalidInput("--date", None, "say which day of the file to play, such as --date 2024-01-17")
    first = session.date() if session is not None else DEFAULT_SESSION
    chosen: dict[str, Any] = {name: value for name, value in (("state", state), ("seed", seed)) if value is not None}
    if speed is not None:
        chosen["speed"] = _speed(speed)
    settings = load_settings(Profile(profile), **chosen)
    spec = RunSpec(
        state=str(settings.state.resolve()),
        underlyings=settings.underlyings,
        sessions=_weekdays(first, days),
        seed=settings.seed,
        candles=None if candles is None else str(candles.resolve()),
        speed=settings.speed,
        wait_for_begin=wait_for_begin,
        packed_hosts=cores,
        dedicated_max=settings.dedicated_actors_per_core * cores,
        heartbeat=settings.heartbeat_interval,
        housekeeping=settings.snapshot_interval,
        events_kept_max=settings.events_kept_max,
        ticks_kept=TicksKept(settings.ticks_kept),
        journal_retention=settings.journal_retention,
        database=settings.database,
        profile=profile,
    )
    recorded = candles_for(spec)
    if recorded is not None and first not in recorded:
        near = sorted(recorded)[-3:]
        raise InvalidInput(
            "--date", str(first), f"{candles} has no session on that day; the latest before it: {', '.join(map(str, near)) or 'none'}"
        )
    return spec


def _weekdays(first: date, count: int) -> tuple[date, ...]:
    from datetime import timedelta

    days: list[date] = []
    day = first
    while len(days) < count:
        if day == first or day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return tuple(days)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 10_000:
        raise InvalidInput("--speed", text, "give a number from above 0 to 10000, or max")
    return speed


def _clear(state: Path) -> None:
    """A demo starts afresh: a day that was played already would be full of signals that were seen already."""
    import shutil

    from configs.running import FILE, read_running
    from runtime.errors import ServerUnavailable

    if not state.exists():
        return
    known = {"valkey", "mongodb", "logs", "owner.lock", FILE, "vault.key", "ray.token"}
    strange = [path.name for path in state.iterdir() if path.name not in known]
    if strange:
        raise InvalidInput("--state", str(state), f"holds {strange[0]!r}, which is not a demo's: name another folder")
    try:
        running = read_running(state, {})
    except ServerUnavailable:
        pass
    else:
        raise ServerUnavailable(f"process {running.pid} is running from {state}: stop it, or choose another --state")
    shutil.rmtree(state)


class _View:
    """Progress bar and table while the session runs; plain lines where there is no terminal."""

    def __init__(self, console: Any, spec: RunSpec) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[clock]}"), TimeElapsedColumn(), TimeRemainingColumn()
        )
        self._task: TaskID = self._progress.add_task("booting", total=SESSION_MINUTES, clock="")
        self._live = Live(self._progress, console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._spec = spec

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def stage(self, text: str) -> None:
        self._progress.update(self._task, description=text)
        if self._live is None:
            self._console.print(f"{datetime.now(UTC):%H:%M:%S} {text}")

    def progress(self, day: Day, market: MarketStatistics) -> None:
        from rich.console import Group

        from runtime.market import IST

        clock = "" if market.ts is None else f"{market.ts.astimezone(IST):%H:%M}"
        self._progress.update(self._task, completed=market.candles, clock=clock)
        if self._live is not None:
            self._live.update(Group(_table(day, market), self._progress))


def _table(day: Day, market: MarketStatistics) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("user", "status", "orders", "open", "closed", "realised", "fees", "last event", box=box.SIMPLE)
    table.title = f"{market.signals} signals, {market.strategy_evaluations} strategy evaluations, {day.events} events"
    users = sorted(day.users.items())
    for user_id, user in users[:ROWS_SHOWN]:
        colour = "green" if user.realised > 0 else "red" if user.realised < 0 else ""
        realised = f"[{colour}]{user.realised:,.2f}[/]" if colour else f"{user.realised:,.2f}"
        table.add_row(
            user_id,
            user.status,
            str(user.orders),
            ", ".join(user.open.values()),
            str(user.closed),
            realised,
            f"{user.fees:,.2f}",
            user.last,
        )
    if len(users) > ROWS_SHOWN:
        table.caption = f"and {len(users) - ROWS_SHOWN} more users"
    return table


def _summary(result: dict[str, object]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table("figure", "value", box=box.SIMPLE, title=f"Session of {result['session_date']}", title_justify="left")
    for name, value in result.items():
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)  # pyright: ignore[reportUnknownVariableType]
        table.add_row(name.replace("_", " "), text or "none")
    return table
