"""`shoal sweep`: one strategy with many parameters, on all the cores there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands import candle_options as options
from actors.commands import study_options as studies
from actors.commands.backtest import ReportOption, SaveFlag, make_request
from actors.commands.shared import JsonFlag, StateOption, console

if TYPE_CHECKING:
    from actors.sweep_result import SweepResult

ROWS_SHOWN = 15


def sweep(
    strategy: options.StrategyArgument,
    candles: options.CandlesOption,
    vary: studies.VaryOption = None,
    start: options.FromOption = None,
    end: options.ToOption = None,
    settings: options.ParametersOption = None,
    method: studies.MethodOption = "grid",
    trials: studies.TrialsOption = 200,
    objective: studies.ObjectiveOption = "sharpe",
    out_of_sample: Annotated[
        float, typer.Option("--out-of-sample", help="Share of the days, the last ones, that no choice is made on.")
    ] = 0.3,
    prune: studies.PruneFlag = None,
    capital: options.CapitalOption = None,
    risk: options.RiskOption = None,
    quantity: options.QuantityOption = None,
    fees: options.FeesOption = None,
    slippage: options.SlippageOption = "0ticks",
    fill: options.FillOption = "next_open",
    seed: options.SeedOption = 7,
    data: options.SessionOption = None,
    instrument: options.InstrumentOption = None,
    kind: options.KindOption = None,
    lot_size: options.LotSizeOption = None,
    tick_size: options.TickSizeOption = None,
    volatility: options.VolatilityOption = "realised",
    expiry: options.ExpiryOption = "weekly",
    expiry_weekday: options.WeekdayOption = 3,
    timeframe: options.TimeframeOption = None,
    zone: options.ZoneOption = None,
    label: options.LabelOption = None,
    workers: studies.WorkersOption = "ray",
    study: studies.StudyOption = None,
    restart: studies.RestartFlag = False,
    report: ReportOption = None,
    save: SaveFlag = None,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Try many parameters, choose on the first days, look at the last ones, and say how much of the best is luck.

    A strategy with a kernel runs compiled, any other by the live engine. Every result is on disk at once: a run that was
    killed goes on where it was and ends with the same table.

    Examples:
    - `shoal sweep ema_cross --candles BANKNIFTY.parquet --vary fast_period=3:20 --vary slow_period=20:200:10 --report sweep.html`

    - `shoal sweep index_options_scalper --candles BANKNIFTY.parquet --from 2024-01-01 --vary reward_risk=1,1.5,2 --method tpe --trials 50`

    - `shoal sweep my_strategy.py --candles prices.parquet --vary period=5:50:5 --workers ray://head:10001 --json`
    """
    from actors.commands.backtest import check_folder
    from actors.sweep import days_of, split, study_fingerprint
    from actors.sweep_result import run_sweep

    base = make_request(
        strategy, settings, start=start, end=end, capital=capital, risk=risk, quantity=quantity, fees=fees, slippage=slippage,
        fill=fill, lane="exact", seed=seed, data=data, kind=kind, lot_size=lot_size, tick_size=tick_size,
        volatility=volatility, expiry=expiry, expiry_weekday=expiry_weekday,
    )  # fmt: skip
    request = studies.sweep_request(
        base, vary, method=method, trials=trials, objective=objective, out_of_sample=out_of_sample, prune=prune, seed=seed
    )
    check_folder("--report", report)
    source = options.candle_request(candles, start=start, end=end, instrument=instrument, zone=zone, label=label, timeframe=timeframe)
    file, calendar = options.read(source, state, quiet=as_json)
    array = file.array()
    in_sample, _ = split(request, days_of(array, base.start, base.end))
    opened = studies.open_study(study, state, study_fingerprint(request, array, in_sample), restart=restart)
    try:
        with studies.pool(workers, state) as pool, options.progress_bar(f"sweep of {strategy}", quiet=as_json) as told:
            result = run_sweep(request, file, calendar, pool, opened, told=told)
    finally:
        opened.close()
    _give(result, report, state, save, as_json=as_json)


def _give(result: SweepResult, report: Path | None, state: Path | None, save: bool | None, *, as_json: bool) -> None:
    import msgspec

    from actors.study_pages import sweep_page
    from adapters.backtest_report import write_page

    if report is not None:
        write_page(sweep_page(result), report)
    summary = result.summary()
    configuration = msgspec.to_builtins(result.request)
    kept = studies.keep_study(summary, result.run.metrics, configuration, "sweep", state, save)
    if as_json:
        typer.echo(json.dumps(summary | {"stored": kept}, indent=2))
        return
    _print(result)
    for line in (f"written: {report}" if report else "", f"stored as {kept}" if kept else ""):
        if line:
            typer.echo(line)


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
