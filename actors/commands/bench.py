"""`shoal bench`: how the runtime does at scale on this machine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.commands.shared import JsonFlag


class Kind(StrEnum):
    FAN_OUT = "fan-out"
    TICKS = "ticks"
    COLD_START = "cold-start"
    MEMORY = "memory"
    BACKTEST = "backtest"
    ALL = "all"


UsersOption = Annotated[
    list[int] | None, typer.Option("--users", min=1, max=100_000, help="How many; repeat it for a curve. [default: 1000]")
]
SignalsOption = Annotated[
    int | None, typer.Option("--signals", min=1, max=1_000, help="Signals or ticks measured, or runs of cold-start and memory.")
]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE.svg", help="Draw the cost per user of fan-out by number of users.")
]


def bench(
    kind: Annotated[Kind, typer.Argument(metavar="fan-out|ticks|cold-start|memory|backtest|all", help="What to measure.")],
    users: UsersOption = None,
    signals: SignalsOption = None,
    plot: PlotOption = None,
    profiled: Annotated[
        bool, typer.Option("--profile", help="With fan-out: show where the hosts' time goes, which slows them down.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure at scale: real host processes, one per core, over embedded Valkey and mongod in a temporary folder.

    Examples:
    - `shoal bench fan-out --users 1000`

    - `shoal bench all --users 10000 --json`

    - `shoal bench backtest --json`

    - `shoal bench fan-out --users 100 --users 1000 --users 10000 --plot scale.svg`
    """
    import json

    from actors.bench.report import plot as draw
    from runtime.errors import InvalidInput

    if plot is not None and kind not in {Kind.FAN_OUT, Kind.ALL}:
        raise InvalidInput("--plot", str(plot), "is drawn from fan-out: measure `fan-out` or `all`")
    if kind is Kind.BACKTEST:
        _backtest(as_json)
        return
    kinds = [each for each in Kind if each not in {Kind.ALL, Kind.BACKTEST}] if kind is Kind.ALL else [kind]
    results = {each: [_measure(each, count, signals, profiled=profiled) for count in users or [1_000]] for each in kinds}
    if plot is not None:
        plot.write_text(draw(results[Kind.FAN_OUT]), encoding="utf-8")
    if as_json:
        shown = {str(each): found if len(found) > 1 else found[0] for each, found in results.items()}
        typer.echo(json.dumps(shown if kind is Kind.ALL else shown[str(kind)], indent=2))
    else:
        _print(results)


def _backtest(as_json: bool) -> None:
    """Half a million candles through both lanes, a sweep and a fleet; `python -m tests.benchmarks.backtest` adds other libraries."""
    import json

    from rich.console import Console

    from actors.bench.backtest import backtest_figures

    with Console(stderr=True).status("backtests over 500,000 candles"):
        found = backtest_figures(500_000)
    if as_json:
        typer.echo(json.dumps(found | {"peers": {}}, indent=2))
        return
    for name, value in found["lanes"].items():
        typer.echo(f"{name:<22} {value:>15,}")
    typer.echo(f"{found['trades']:,} trades of the reversal, {found['sparse_trades']:,} of the sparse strategy, {found['rss_mb']} MB")


def _measure(kind: Kind, users: int, count: int | None, *, profiled: bool) -> dict[str, Any]:
    """Runs one measurement under a progress bar on standard error."""
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{kind}, {users:,} users", total=None)

        def on_progress(what: str, done: int, total: int) -> None:
            progress.update(bar, description=f"{kind}, {users:,} users: {what}", completed=done, total=total)

        return asyncio.run(_work(kind, users, count, on_progress, profiled=profiled))


def _work(
    kind: Kind, users: int, count: int | None, on_progress: Callable[[str, int, int], None], *, profiled: bool
) -> Coroutine[Any, Any, dict[str, Any]]:
    from actors.bench.cold_start import RUNS, cold_start
    from actors.bench.fan_out import SIGNALS, fan_out
    from actors.bench.memory import RUNS as MEMORY_RUNS
    from actors.bench.memory import memory
    from actors.bench.ticks import TICKS, ticks

    match kind:
        case Kind.FAN_OUT:
            return fan_out(users, signals=count or SIGNALS, profiled=profiled, on_progress=on_progress)
        case Kind.TICKS:
            return ticks(users, ticks=count or TICKS, on_progress=on_progress)
        case Kind.COLD_START:
            return cold_start(users, runs=count or RUNS, on_progress=on_progress)
        case _:
            return memory(users, runs=count or MEMORY_RUNS, on_progress=on_progress)


def _print(results: Mapping[Kind, list[dict[str, Any]]]) -> None:
    from rich import box, get_console
    from rich.table import Column, Table

    from actors.bench.report import rows

    for kind, found in results.items():
        table = Table(Column(str(kind)), *(Column(f"{result['users']:,} users", justify="right") for result in found), box=box.SIMPLE)
        lines = [rows(kind, result) for result in found]
        for across in zip(*lines, strict=True):
            table.add_row(across[0][0], *(f"{value} {verdict}".strip() for _, value, verdict in across))
        get_console().print(table)
