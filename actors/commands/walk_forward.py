"""`shoal walk-forward`: parameters chosen on one stretch and traded on the next, again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands import candle_options as options
from actors.commands import study_options as studies
from actors.commands.groups import with_groups
from actors.commands.run_options import OutputOptions, RunOptions
from actors.commands.shared import console

if TYPE_CHECKING:
    from actors.walk_forward import WalkResult


@with_groups
def walk_forward(
    *,
    strategy: options.StrategyArgument,
    candles: options.CandleOptions,
    search: studies.SearchOptions,
    train: Annotated[int, typer.Option("--train", min=1, help="Trading days that parameters are chosen on.")] = 120,
    test: Annotated[int, typer.Option("--test", min=1, help="Trading days that they are then traded on.")] = 20,
    anchored: Annotated[bool, typer.Option("--anchored", help="Training always begins with the first day.")] = False,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Choose parameters on training days, trade them on the test days after them, and move on: only the test days count.

    Every result is on disk at once: a run that was killed goes on where it was and ends with the same table.

    Examples:
    - `shoal walk-forward ema_cross --candles BANKNIFTY.parquet --vary fast_period=3:20 --vary slow_period=20:200:10 --train 250 --test 60`

    - `shoal walk-forward my_strategy.py --candles prices.parquet --vary period=5:50:5 --anchored --report walk.html`
    """
    from actors.walk_forward import WalkRequest, run_walk

    request = WalkRequest(sweep=search.request(run.request(strategy, candles)), train=train, test=test, anchored=anchored)
    output.check()
    file, _, data = studies.read(request.sweep, candles.request(), output)
    with studies.pool(search.workers, output.state) as pool, output.progress(f"walk-forward of {strategy}") as told:
        result = run_walk(request, file, data, pool, lambda found: search.open(output.state, found), told=told)
    _give(result, output)


def _give(result: WalkResult, output: OutputOptions) -> None:
    import msgspec

    from actors.commands.backtest import metrics_table
    from actors.study_pages import walk_page
    from adapters.backtest_report import write_page

    if output.report is not None:
        write_page(walk_page(result), output.report)
    summary = result.summary()
    kept = studies.keep_study(summary, result.run.metrics, msgspec.to_builtins(result.request), "walk-forward", output)
    if output.as_json:
        typer.echo(json.dumps(summary | {"stored": kept}, indent=2))
        return
    out = console()
    studies.print_table(result.table(), len(result.steps))
    out.print(metrics_table(result.run))
    efficiency = result.efficiency
    out.print(
        f"walk-forward efficiency {efficiency:.0%}" if efficiency is not None else "walk-forward efficiency: none, training lost money"
    )
    output.say_written(kept)
