"""`shoal sweep`: one strategy with many parameters, on all the cores there are."""

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
    from actors.sweep_result import SweepResult

ROWS_SHOWN = 15


@with_groups
def sweep(
    *,
    strategy: options.StrategyArgument,
    candles: options.CandleOptions,
    search: studies.SearchOptions,
    out_of_sample: Annotated[
        float, typer.Option("--out-of-sample", help="Share of the days, the last ones, that no choice is made on.")
    ] = 0.3,
    run: RunOptions,
    output: OutputOptions,
) -> None:
    """Try many parameters, choose on the first days, look at the last ones, and say how much of the best is luck.

    A strategy with a kernel runs compiled, any other by the live engine. Every result is on disk at once: a run that was
    killed goes on where it was and ends with the same table.

    Examples:
    - `shoal sweep ema_cross --candles BANKNIFTY.parquet --vary fast_period=3:20 --vary slow_period=20:200:10 --report sweep.html`

    - `shoal sweep index_options_scalper --candles BANKNIFTY.parquet --from 2024-01-01 --vary reward_risk=1,1.5,2 --method tpe --trials 50`

    - `shoal sweep my_strategy.py --candles prices.parquet --vary period=5:50:5 --workers 10.0.0.5:6379 --json`
    """
    from actors.sweep import days_of, split, study_fingerprint
    from actors.sweep_result import run_sweep

    request = search.request(run.request(strategy, candles), out_of_sample=out_of_sample)
    output.check()
    file, calendar, data = studies.read(request, candles.request(), output)
    in_sample, _ = split(request, days_of(data.candles, candles.first_day, candles.last_day))
    opened = search.open(output.state, study_fingerprint(request, data, in_sample))
    try:
        with studies.pool(search.workers, output.state) as pool, output.progress(f"sweep of {strategy}") as told:
            result = run_sweep(request, file, calendar, data, pool, opened, told=told)
    finally:
        opened.close()
    _give(result, output)


def _give(result: SweepResult, output: OutputOptions) -> None:
    import msgspec

    from actors.study_pages import sweep_page
    from adapters.backtest_report import write_page

    if output.report is not None:
        write_page(sweep_page(result), output.report)
    summary = result.summary()
    kept = studies.keep_study(summary, result.run.metrics, msgspec.to_builtins(result.request), "sweep", output)
    if output.as_json:
        typer.echo(json.dumps(summary | {"stored": kept}, indent=2))
        return
    _print(result)
    output.say_written(kept)


def _print(result: SweepResult) -> None:
    from actors.trials import score

    names = list(result.request.ranges)
    if len(names) > 1:
        cells = {
            (trial.parameters[names[0]], trial.parameters[names[1]]): score(trial.figures, result.request.objective)
            for trial in reversed(result.best)
            if trial.figures.trades
        }
        studies.print_heat(names[:2], [list(result.request.ranges[name]) for name in names[:2]], cells)
    studies.print_table(result.table(), ROWS_SHOWN)
    counts = result.summary()["trials"]
    out = console()
    out.print(f"{counts['complete']:,} trials complete, {counts['pruned']:,} pruned, {counts['invalid']:,} impossible; {result.lane} lane")
    out.print(result.verdict())
