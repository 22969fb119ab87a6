"""`shoal backtest`: a strategy over candles, with the live engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands import candle_options as options
from actors.commands.groups import with_groups
from actors.commands.run_options import OutputOptions, RunOptions
from actors.commands.shared import console
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from actors.backtest import Backtest
    from actors.backtest_setup import BacktestRequest
    from actors.candle_source import CandleRequest

USERS_SHOWN = 25


@with_groups
def backtest(
    *,
    strategy: options.StrategyArgument,
    candles: options.CandleOptions,
    run: RunOptions,
    lane: Annotated[
        str, typer.Option("--lane", metavar="exact|screening", help="screening is a compiled kernel with the same trades.")
    ] = "exact",
    finer: Annotated[
        str | None,
        typer.Option("--finer", metavar="FILE", help="Shorter candles of the same: they tell whether stop or target came first."),
    ] = None,
    users: Annotated[
        Path | None, typer.Option("--users", metavar="FILE", help="CSV or JSON of users with capital, risk, quantity, fees of their own.")
    ] = None,
    trades: Annotated[
        Path | None, typer.Option("--trades", metavar="FILE", help="Write the trade list as .parquet, .csv or .json.")
    ] = None,
    equity: Annotated[
        Path | None, typer.Option("--equity", metavar="FILE", help="Write each day's equity, of every user, as .parquet, .csv or .json.")
    ] = None,
    output: OutputOptions,
) -> None:
    """Run a strategy over recorded candles with the live engine: same orders, fills, fees and risk limits, a simulated clock.

    What is wrong with the data is said first. An index is traded through options on it by a strategy that does so, and by any
    other as if it were a future at its price.

    Examples:
    - `shoal backtest ema_cross --candles BANKNIFTY.parquet --report report.html`

    - `shoal backtest index_options_scalper --candles BANKNIFTY.parquet --from 2024-01-01 --to 2024-03-31 --capital 1000000 --risk 0.01`

    - `shoal backtest ema_cross --candles prices.csv --instrument BTC/USDT --zone UTC --set fast_period=5 --fees flat:0.001 --slippage 0.02% --json`

    - `shoal backtest ema_cross --candles BANKNIFTY.parquet --users users.csv --report users.html --equity equity.parquet`

    - `shoal backtest index_options_scalper --candles BANKNIFTY.parquet --chains chains.parquet --volatility INDIAVIX.parquet`

    - `shoal backtest ema_cross --candles RELIANCE_15m.csv --finer RELIANCE_1m.csv --instrument NSE:RELIANCE --data @bracket.json`

    - `shoal backtest my_strategy.py:MyStrategy --candles store:NSE:BANKNIFTY --from 2024-01-01 --to 2024-01-31 --trades trades.csv`
    """
    from actors.backtest import check_table
    from actors.strategy_source import create_strategy

    request, source = run.request(strategy, candles, lane=lane), candles.request()
    output.check()
    for option, path in (("--trades", trades), ("--equity", equity)):
        check_table(option, path)
    create_strategy(request.strategy, request.parameters)  # a wrong parameter is said before a large file is read
    inside = None if finer is None else replace(candles, candles=finer, timeframe=None).request()
    if users is not None:
        for option, value in (("--trades", trades), ("--finer", finer)):
            if value is not None:
                raise InvalidInput(option, str(value), "is of one user; many have --report, --equity and --json")
        _run_users(request, source, users, equity, output)
        return
    _give(_run(request, source, inside, output), trades, equity, output)


def _give(run: Backtest, trades: Path | None, equity: Path | None, output: OutputOptions) -> None:
    from actors.backtest import write_table
    from actors.commands.backtests import keep

    if output.report is not None:
        run.write_report(output.report)
    write_table("--trades", trades, run.trades)
    write_table("--equity", equity, run.equity.reset_index())
    kept = keep(run, output.state, output.save)
    if output.as_json:
        typer.echo(json.dumps(run.summary() | {"stored": kept}, indent=2))
        return
    _print(run)
    output.say_written(kept, trades, equity)


def _run(request: BacktestRequest, source: CandleRequest, inside: CandleRequest | None, output: OutputOptions) -> Backtest:
    from actors.backtest import run_on

    file, calendar = options.read_candles(source, output.state, quiet=output.as_json)
    option_data = options.read_options(request, file, output.state)
    finer = None if inside is None else options.read_candles(inside, output.state, quiet=output.as_json)[0].array()
    with output.progress(f"{request.strategy} over {len(file):,} candles") as progress:
        return run_on(request, file, calendar, option_data, finer=finer, progress=progress)


def _run_users(request: BacktestRequest, source: CandleRequest, users: Path, equity: Path | None, output: OutputOptions) -> None:
    from actors.backtest import write_table
    from actors.commands.study_options import print_table
    from actors.fleet import curves, read_users, rows, run_users
    from actors.fleet_page import fleet_page
    from adapters.backtest_report import write_page

    asked = read_users(users)
    file, calendar = options.read_candles(source, output.state, quiet=output.as_json)
    found = run_users(request, asked, file, calendar, options.read_options(request, file, output.state))
    table = rows(found)
    if output.report is not None:
        write_page(fleet_page(request, found, file), output.report)
    write_table("--equity", equity, curves(found))
    if output.as_json:
        days = [str(day) for day in found.day]
        people = [row | {"equity": personal} for row, personal in zip(table, found.equity.tolist(), strict=True)]
        typer.echo(json.dumps({"days": days, "users": people, "synthetic": found.synthetic, "assumptions": found.assumptions}, indent=2))
        return
    print_table(sorted(table, key=lambda row: -row["net"]), USERS_SHOWN)
    typer.echo(f"{len(table):,} users, net {sum(row['net'] for row in table):,.2f}, fees {sum(row['fees'] for row in table):,.2f}")
    for path in (output.report, equity):
        if path is not None:
            typer.echo(f"written: {path}")


def _print(run: Backtest) -> None:
    result, out = run.result, console()
    if result.synthetic:
        out.print("SYNTHETIC: option prices were computed by a model, not recorded.", style="bold yellow")
    out.print(metrics_table(run))
    rules = _rules(run)
    if rules is not None:
        out.print(rules)
    for line in result.assumptions:
        out.print(f"- {line}", style="dim")
    speed = f", {result.bars / result.seconds:,.0f} candles/s" if result.seconds else ""
    out.print(f"{result.bars:,} candles in {result.seconds or 0.0:.2f} s{speed}; fingerprint {result.fingerprint}")


def metrics_table(run: Backtest) -> Table:
    from rich import box
    from rich.table import Column, Table

    from actors.commands.figures import FIGURES, figure

    spec = run.result.spec
    title = f"{spec.subscription.strategy} on {spec.instrument.id} {spec.subscription.timeframe}"
    table = Table(
        "figure",
        Column("value", justify="right"),
        "figure",
        Column("value", justify="right"),
        box=box.SIMPLE,
        title=title,
        title_justify="left",
    )
    cells = [(label, figure(run.metrics[name], kind, spec.instrument.currency)) for name, label, kind in FIGURES]
    half = -(-len(cells) // 2)
    for left, right in zip(cells[:half], [*cells[half:], ("", "")][:half], strict=True):
        table.add_row(*left, *right)
    return table


def _rules(run: Backtest) -> Table | None:
    from rich import box
    from rich.table import Column, Table

    frame = run.trades
    if frame.empty:
        return None
    table = Table("rule", "exit", *(Column(name, justify="right") for name in ("trades", "win rate", "net", "average")), box=box.SIMPLE)
    for (rule, reason), net in _grouped(frame):
        table.add_row(rule, reason, f"{len(net):,}", f"{(net > 0).mean():.1%}", f"{net.sum():,.2f}", f"{net.mean():,.2f}")
    return table


def _grouped(frame: Any) -> Any:
    return frame.groupby(["rule", "exit_reason"])["net"]
