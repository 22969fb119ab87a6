"""`shoal check-bias`: does a strategy know the future, and how much past does it need?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands import candle_options as options
from actors.commands.groups import with_groups
from actors.commands.shared import JsonFlag, StateOption, console, parse_settings

if TYPE_CHECKING:
    from actors.bias import BiasReport, Difference


@with_groups
def check_bias(
    *,
    strategy: options.StrategyArgument,
    candles: options.CandleOptions,
    settings: options.ParametersOption = None,
    points: Annotated[int, typer.Option("--points", min=2, max=1000, help="How many places to cut the candles at.")] = 20,
    candles_max: Annotated[
        int, typer.Option("--candles-max", min=100, max=1_000_000, help="Only the newest so many are looked at.")
    ] = 20_000,
    seed: options.SeedOption = 7,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a strategy for look-ahead, memory between runs and outside reads, and find the warm-up that it needs.

    Exit code 0: none found. 1: biased. The candles are cut at seeded points; the decision there must not change.

    Examples:
    - `shoal check-bias index_options_scalper --candles BANKNIFTY.parquet`

    - `shoal check-bias my_strategy.py:MyStrategy --candles BANKNIFTY.parquet --points 100 --json`
    """
    from actors.bias import BiasRequest
    from actors.bias import check_bias as run
    from actors.strategy_source import create_strategy

    request = BiasRequest(strategy=strategy, parameters=parse_settings(settings), points=points, candles_max=candles_max, seed=seed)
    create_strategy(request.strategy, request.parameters)
    file, calendar = options.read_candles(candles.request(), state, quiet=as_json)
    report = run(request, file.array(), calendar)
    if as_json:
        import msgspec

        extra = {"biased": report.is_biased, "warm_up_needed": report.warm_up_needed}
        typer.echo(msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(report) | extra)).decode())
    else:
        _print(report)
    if report.is_biased:
        raise typer.Exit(1)


def _print(report: BiasReport) -> None:
    from rich import box
    from rich.table import Column, Table

    out = console()
    out.print(f"{report.strategy}: {report.candles:,} candles, {report.signals:,} signals")
    _verdict("look-ahead", f"{report.points} cuts change no decision", "decisions change when the future is cut off", report.look_ahead)
    _verdict(
        "memory", "a second run in the same process decides the same", "a second run in the same process decides otherwise", report.memory
    )
    if report.outside:
        out.print("[red]outside[/]     it reads what may know the future:")
        for where in report.outside:
            out.print(f"            {where}", markup=False)
    else:
        out.print("[green]outside[/]     it opens no file and no connection")
    table = Table(Column("warm-up candles", justify="right"), Column("decisions that differ", justify="right"), box=box.SIMPLE)
    for run in report.warm_up:
        table.add_row(f"{run.candles:,}", f"{run.differing:,} of {run.compared:,}")
    out.print(table)
    needed = report.warm_up_needed
    out.print(
        f"warm-up needed: {needed:,} candles" if needed is not None else "no warm-up that was tried is enough: give it more candles, or all"
    )


def _verdict(name: str, good: str, bad: str, differences: tuple[Difference, ...]) -> None:
    out = console()
    out.print(f"[{'red' if differences else 'green'}]{name:<11}[/] {bad if differences else good}")
    for found in differences:
        out.print(f"            {found.time}: all candles: {found.whole}; cut: {found.other}", markup=False)
