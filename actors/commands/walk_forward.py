"""`shoal walk-forward`: parameters chosen on one stretch and traded on the next, again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from actors.commands import candle_options as options
from actors.commands import study_options as studies
from actors.commands.backtest import ReportOption, SaveFlag, check_folder, make_request
from actors.commands.shared import JsonFlag, StateOption, console

if TYPE_CHECKING:
    from actors.walk_forward import WalkResult


def walk_forward(
    strategy: options.StrategyArgument,
    candles: options.CandlesOption,
    vary: studies.VaryOption = None,
    train: Annotated[int, typer.Option("--train", min=1, help="Trading days that parameters are chosen on.")] = 120,
    test: Annotated[int, typer.Option("--test", min=1, help="Trading days that they are then traded on.")] = 20,
    anchored: Annotated[bool, typer.Option("--anchored", help="Training always begins with the first day.")] = False,
    start: options.FromOption = None,
    end: options.ToOption = None,
    settings: options.ParametersOption = None,
    method: studies.MethodOption = "grid",
    trials: studies.TrialsOption = 200,
    objective: studies.ObjectiveOption = "sharpe",
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
    """Choose parameters on training days, trade them on the test days after them, and move on: only the test days count.

    Every result is on disk at once: a run that was killed goes on where it was and ends with the same table.

    Examples:
    - `shoal walk-forward ema_cross --candles BANKNIFTY.parquet --vary fast_period=3:20 --vary slow_period=20:200:10 --train 250 --test 60`

    - `shoal walk-forward my_strategy.py --candles prices.parquet --vary period=5:50:5 --anchored --report walk.html`
    """
    from actors.walk_forward import WalkRequest, run_walk

    base = make_request(
        strategy, settings, start=start, end=end, capital=capital, risk=risk, quantity=quantity, fees=fees, slippage=slippage,
        fill=fill, lane="exact", seed=seed, data=data, kind=kind, lot_size=lot_size, tick_size=tick_size,
        volatility=volatility, expiry=expiry, expiry_weekday=expiry_weekday,
    )  # fmt: skip
    sweep = studies.sweep_request(base, vary, method=method, trials=trials, objective=objective, out_of_sample=0.0, prune=prune, seed=seed)
    request = WalkRequest(sweep=sweep, train=train, test=test, anchored=anchored)
    check_folder("--report", report)
    source = options.candle_request(candles, start=start, end=end, instrument=instrument, zone=zone, label=label, timeframe=timeframe)
    file, _ = options.read(source, state, quiet=as_json)
    with studies.pool(workers, state) as pool, options.progress_bar(f"walk-forward of {strategy}", quiet=as_json) as told:
        result = run_walk(request, file, pool, lambda found: studies.open_study(study, state, found, restart=restart), told=told)
    _give(result, report, state, save, as_json=as_json)


def _give(result: WalkResult, report: Path | None, state: Path | None, save: bool | None, *, as_json: bool) -> None:
    import msgspec

    from actors.commands.backtest import metrics_table
    from actors.study_pages import walk_page
    from adapters.backtest_report import write_page

    if report is not None:
        write_page(walk_page(result), report)
    summary = result.summary()
    kept = studies.keep_study(summary, result.run.metrics, msgspec.to_builtins(result.request), "walk-forward", state, save)
    if as_json:
        typer.echo(json.dumps(summary | {"stored": kept}, indent=2))
        return
    out = console()
    studies.print_table(result.table(), len(result.steps))
    out.print(metrics_table(result.run))
    efficiency = result.efficiency
    out.print(
        f"walk-forward efficiency {efficiency:.0%}" if efficiency is not None else "walk-forward efficiency: none, training lost money"
    )
    for line in (f"written: {report}" if report else "", f"stored as {kept}" if kept else ""):
        if line:
            typer.echo(line)
