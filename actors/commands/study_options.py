"""What `shoal sweep` and `shoal walk-forward` share: ranges, the search, the pool of workers, the study's file."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from actors.commands.candle_options import choice, read_candles, read_options

if TYPE_CHECKING:
    from actors.backtest_setup import BacktestRequest
    from actors.candle_source import CandleRequest
    from actors.commands.run_options import OutputOptions
    from actors.search import Method
    from actors.study_file import StudyFile
    from actors.sweep import SweepRequest
    from actors.trials import Objective, StudyData, TaskPool
    from adapters.candle_files import CandleFile
    from runtime.calendar import ExchangeCalendar

METHODS = ("grid", "random", "tpe")
OBJECTIVES = ("sharpe", "net", "return_over_drawdown")
_STATE = Path(".shoal")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Which parameters are tried, how they are judged, and by whom they are run."""

    vary: Annotated[
        list[str] | None, typer.Option("--vary", metavar="NAME=FROM:TO:STEP", help="A parameter to vary, or NAME=A,B,C; repeatable.")
    ] = None
    method: Annotated[
        str,
        typer.Option("--method", metavar="grid|random|tpe", help="All combinations, a seeded sample, or a model's proposals (optuna TPE)."),
    ] = "grid"
    trials: Annotated[int, typer.Option("--trials", min=1, max=1_000_000, help="How many, of random and tpe.")] = 200
    objective: Annotated[
        str, typer.Option("--objective", metavar="sharpe|net|return_over_drawdown", help="What the best is the best at.")
    ] = "sharpe"
    prune: Annotated[
        bool | None,
        typer.Option(
            "--prune/--no-prune",
            help="Drop the worse half after a quarter and a half of the days (default: where the live engine has to run them).",
        ),
    ] = None
    workers: Annotated[
        str,
        typer.Option(
            "--workers",
            metavar="ray|ADDRESS|here",
            help="A Ray of this machine, a cluster's address (default: RAY_ADDRESS), or this process alone.",
        ),
    ] = "ray"
    study: Annotated[
        Path | None,
        typer.Option(
            "--study",
            metavar="FILE",
            help="Where results are kept as they come (default: in the state folder); a killed run goes on from there.",
        ),
    ] = None
    restart: Annotated[bool, typer.Option("--restart", help="Forget what the study holds already.")] = False

    def request(self, backtest: BacktestRequest, *, out_of_sample: float = 0.0) -> SweepRequest:
        """Raises `InvalidInput` naming the option that is wrong."""
        from actors.search import grid, parse_ranges
        from actors.strategy_source import strategy_parameters
        from actors.sweep import SweepRequest

        choice("--method", self.method, dict.fromkeys(METHODS))
        choice("--objective", self.objective, dict.fromkeys(OBJECTIVES))
        request = SweepRequest(
            backtest=backtest,
            ranges=parse_ranges(self.vary or []),
            method=cast("Method", self.method),
            trials=self.trials,
            objective=cast("Objective", self.objective),
            out_of_sample=out_of_sample,
            prune=self.prune,
            seed=backtest.seed,
        )
        for name, values in request.ranges.items():
            strategy_parameters(backtest.strategy, {name: values[0]})
        if self.method == "grid":
            grid(request.ranges)
        return request

    def open(self, state: Path | None, fingerprint: str) -> StudyFile:
        """The study's file, forgotten first where that was asked for."""
        from actors.study_file import StudyFile

        path = self.study or (state or _STATE) / "studies" / f"{fingerprint[:16]}.jsonl"
        if self.restart:
            path.unlink(missing_ok=True)
        return StudyFile(path, fingerprint)


@contextmanager
def pool(workers: str, state: Path | None) -> Generator[TaskPool]:
    """Ray of this machine, of a cluster, or none at all."""
    if workers == "here":
        from actors.trials import InProcess

        yield InProcess()
        return
    from actors.cluster import RayPool

    address = os.environ.get("RAY_ADDRESS") or None if workers == "ray" else workers
    with RayPool(state or _STATE, address=address) as ray:
        yield ray


def read(request: SweepRequest, source: CandleRequest, output: OutputOptions) -> tuple[CandleFile, ExchangeCalendar, StudyData]:
    """The candles, and all that travels to the workers with them."""
    from actors.trials import study_data

    file, calendar = read_candles(source, output.state, quiet=output.as_json)
    array = file.array()
    options = read_options(request.backtest, file, output.state)
    return file, calendar, study_data(request.backtest, array, options)


def keep_study(
    summary: dict[str, Any], metrics: dict[str, Any], configuration: dict[str, Any], kind: str, output: OutputOptions
) -> str | None:
    """Store a finished study's table; returns its id."""
    from datetime import UTC, datetime

    from actors import stored_results
    from actors.commands.backtests import keep_with

    content = {"table": summary["table"]}
    short = {name: value for name, value in summary.items() if name != "table"}
    return keep_with(
        output.state,
        output.save,
        lambda store: stored_results.keep(
            store, kind=kind, ts=datetime.now(UTC), summary=short, metrics=metrics, configuration=configuration, content=content
        ),
    )


def print_table(rows: list[dict[str, Any]], limit: int) -> None:
    from rich import box
    from rich.table import Column, Table

    from actors.commands.shared import console

    names = list(dict.fromkeys(name for row in rows[:limit] for name in row))
    table = Table(*(Column(name.replace("_", " "), justify="right") for name in names), box=box.SIMPLE)
    for row in rows[:limit]:
        table.add_row(*(_text(name, row.get(name)) for name in names))
    if len(rows) > limit:
        table.caption = f"and {len(rows) - limit:,} more (--json has them all)"
    console().print(table)


def print_heat(names: list[str], values: list[list[Any]], cells: dict[tuple[Any, Any], float]) -> None:
    """A coloured grid: green is better, red worse; at most a screenful."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from actors.commands.shared import console

    if not cells:
        return
    largest = max(abs(value) for value in cells.values()) or 1.0
    columns = values[1][:_HEAT_MAX]
    table = Table(f"{names[0]} ↓ {names[1]} →", *map(str, columns), box=box.SIMPLE)
    for row in values[0][:_HEAT_MAX]:
        shown: list[Text] = []
        for column in columns:
            value = cells.get((row, column))
            depth = 0 if value is None else 60 + int(140 * abs(value) / largest)
            colour = f"rgb(20,{depth},60)" if value is not None and value >= 0 else f"rgb({depth},30,40)"
            shown.append(Text("") if value is None else Text(f"{value:,.2f}", style=f"white on {colour}"))
        table.add_row(str(row), *shown)
    console().print(table)


_HEAT_MAX = 16


def _text(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        if name.endswith(("percent", "rate", "drawdown")):
            return f"{value:.1%}"
        return f"{value:,.0f}" if name.endswith("net") else f"{value:,.2f}"
    return str(value)
