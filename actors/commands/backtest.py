"""`shoal backtest`: a strategy over candles, with the live engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actors.commands import candle_options as options
from actors.commands.shared import JsonFlag, StateOption, console, parse_data, parse_settings
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from actors.backtest import Backtest
    from actors.backtest_setup import BacktestRequest

USERS_SHOWN = 25
TRADE_FILES = (".parquet", ".csv", ".json")
ReportOption = Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write a self-contained HTML report.")]
TradesOption = Annotated[Path | None, typer.Option("--trades", metavar="FILE", help="Write the trade list as .parquet, .csv or .json.")]
SaveFlag = Annotated[
    bool | None,
    typer.Option("--save/--no-save", help="Keep the result in the database (default: where one is running); see `shoal backtests`."),
]


def backtest(
    strategy: options.StrategyArgument,
    candles: options.CandlesOption,
    start: options.FromOption = None,
    end: options.ToOption = None,
    settings: options.ParametersOption = None,
    capital: options.CapitalOption = None,
    risk: options.RiskOption = None,
    quantity: options.QuantityOption = None,
    fees: options.FeesOption = None,
    slippage: options.SlippageOption = "0ticks",
    fill: options.FillOption = "next_open",
    lane: Annotated[
        str, typer.Option("--lane", metavar="exact|screening", help="screening is a compiled kernel with the same trades.")
    ] = "exact",
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
    users: Annotated[
        Path | None, typer.Option("--users", metavar="FILE", help="CSV or JSON of users with capital, risk, quantity, fees of their own.")
    ] = None,
    report: ReportOption = None,
    trades: TradesOption = None,
    save: SaveFlag = None,
    state: StateOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a strategy over recorded candles with the live engine: same orders, fills, fees and risk limits, a simulated clock.

    What is wrong with the data is said first. An index is traded through options on it by a strategy that does so, and by any
    other as if it were a future at its price.

    Examples:
    - `shoal backtest ema_cross --candles BANKNIFTY.parquet --report report.html`

    - `shoal backtest index_options_scalper --candles BANKNIFTY.parquet --from 2024-01-01 --to 2024-03-31 --capital 1000000 --risk 0.01`

    - `shoal backtest ema_cross --candles prices.csv --instrument BTC/USDT --zone UTC --set fast_period=5 --fees flat:0.001 --slippage 0.02% --json`

    - `shoal backtest ema_cross --candles BANKNIFTY.parquet --users users.csv --json`

    - `shoal backtest my_strategy.py:MyStrategy --candles store:NSE:BANKNIFTY --from 2024-01-01 --to 2024-01-31 --trades trades.csv`
    """
    request = make_request(
        strategy, settings, start=start, end=end, capital=capital, risk=risk, quantity=quantity, fees=fees, slippage=slippage,
        fill=fill, lane=lane, seed=seed, data=data, kind=kind, lot_size=lot_size, tick_size=tick_size,
        volatility=volatility, expiry=expiry, expiry_weekday=expiry_weekday,
    )  # fmt: skip
    source = options.candle_request(candles, start=start, end=end, instrument=instrument, zone=zone, label=label, timeframe=timeframe)
    check_folder("--report", report)
    check_folder("--trades", trades)
    if trades is not None and trades.suffix not in TRADE_FILES:
        raise InvalidInput("--trades", str(trades), f"must end with one of {', '.join(TRADE_FILES)}")
    if users is not None:
        if report is not None or trades is not None:
            raise InvalidInput(
                "--users", str(users), "has a table for an answer: --report and --trades are of one user, and --json has it all"
            )
        _run_users(request, source, users, state, as_json=as_json)
        return
    run = _run(request, source, state, quiet=as_json)
    if report is not None:
        run.write_report(report)
    if trades is not None:
        run.write_trades(trades)
    kept = _keep(run, state, save)
    if as_json:
        import json

        typer.echo(json.dumps(run.summary() | {"stored": kept}, indent=2))
        return
    _print(run, kept, [path for path in (report, trades) if path is not None])


def make_request(strategy: str, settings: list[str] | None, **given: Any) -> BacktestRequest:
    """Raises `InvalidInput` naming the option that is wrong."""
    from actors.backtest_setup import BacktestRequest
    from runtime.backtest.result import FillModel, Lane
    from runtime.market import InstrumentKind

    kinds = {str(kind): kind for kind in InstrumentKind}
    numbers = {
        name: options.number(f"--{name.replace('_', '-')}", given.get(name))
        for name in ("capital", "risk", "quantity", "lot_size", "tick_size")
    }
    return BacktestRequest(
        strategy=strategy,
        parameters=parse_settings(settings),
        session=parse_data(given.get("data")),
        start=options.day(given.get("start")),
        end=options.day(given.get("end")),
        fees=given.get("fees"),
        slippage=given["slippage"],
        fill=options.choice("--fill", given["fill"], {str(fill): fill for fill in FillModel}),
        lane=options.choice("--lane", given["lane"], {str(lane): lane for lane in Lane}),
        seed=given["seed"],
        volatility=given["volatility"],
        expiry=options.choice("--expiry", given["expiry"], {name: name for name in ("weekly", "monthly")}),
        expiry_weekday=given["expiry_weekday"],
        kind=None if given.get("kind") is None else options.choice("--kind", given["kind"], kinds),
        **numbers,
    )


def check_folder(option: str, path: Path | None) -> None:
    """Before the work rather than after it."""
    if path is not None and not path.resolve().parent.is_dir():
        raise InvalidInput(option, str(path), f"{path.resolve().parent} is not a folder")


def _run(request: BacktestRequest, source: Any, state: Path | None, *, quiet: bool) -> Backtest:
    from actors.backtest import run_on
    from actors.strategy_source import create_strategy

    create_strategy(request.strategy, request.parameters)  # a wrong parameter is said before a large file is read
    file, calendar = options.read(source, state, quiet=quiet)
    with options.progress_bar(f"{request.strategy} over {len(file):,} candles", quiet=quiet) as progress:
        return run_on(request, file, calendar, progress=progress)


def _run_users(request: BacktestRequest, source: Any, users: Path, state: Path | None, *, as_json: bool) -> None:
    import json

    from actors.commands.study_options import print_table
    from actors.fleet import read_users, rows, run_users

    asked = read_users(users)
    file, calendar = options.read(source, state, quiet=as_json)
    table = rows(run_users(request, asked, file, calendar))
    if as_json:
        typer.echo(json.dumps(table, indent=2))
        return
    print_table(sorted(table, key=lambda row: -row["net"]), USERS_SHOWN)
    typer.echo(f"{len(table):,} users, net {sum(row['net'] for row in table):,.2f}, fees {sum(row['fees'] for row in table):,.2f}")


def _keep(run: Backtest, state: Path | None, save: bool | None) -> str | None:
    from actors.commands.backtests import keep

    return keep(run, state, save)


def _print(run: Backtest, kept: str | None, written: list[Path]) -> None:
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
    for path in written:
        out.print(f"written: {path}")
    out.print(f"stored as {kept}" if kept else "not stored: no database is running (see --save)")


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
