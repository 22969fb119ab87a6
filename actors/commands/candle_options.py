"""Options of the commands that read candles, and what they share: reading, progress, the report on the data."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import typer

from actors.commands.shared import console
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from actors.backtest_setup import BacktestRequest
    from actors.candle_source import CandleRequest
    from actors.option_market import OptionData
    from adapters.candle_files import CandleFile
    from runtime.backtest.run import Progress
    from runtime.calendar import ExchangeCalendar

StrategyArgument: TypeAlias = Annotated[str, typer.Argument(metavar="STRATEGY", help="Its name, or a file: my_strategy.py:MyStrategy.")]
ParametersOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the strategy; repeatable.")
]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]


@dataclass(frozen=True, kw_only=True)
class CandleOptions:
    """Which candles, and what a file does not say of itself."""

    candles: Annotated[
        str, typer.Option("--candles", metavar="FILE", help="Parquet or CSV file; or store:INSTRUMENT; or BROKER:INSTRUMENT.")
    ]
    start: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day that counts; candles before it are warm-up.")
    ] = None
    end: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")] = None
    instrument: Annotated[str | None, typer.Option("--instrument", help="What a file holds, such as NSE:RELIANCE or BTC/USDT.")] = None
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", help="Of the candles (default: told from the file; store and broker: 1m).")
    ] = None
    zone: Annotated[str | None, typer.Option("--zone", help="Time zone of a file's times, where they carry none: Asia/Kolkata, UTC, …")] = (
        None
    )
    label: Annotated[
        str | None,
        typer.Option(
            "--label", metavar="start|end", help="Whether a row's time is its candle's start or end (default: told from the sessions)."
        ),
    ] = None

    @property
    def first_day(self) -> date | None:
        return None if self.start is None else self.start.date()

    @property
    def last_day(self) -> date | None:
        return None if self.end is None else self.end.date()

    def request(self) -> CandleRequest:
        """Raises `InvalidInput` naming the option that is wrong."""
        from actors.candle_source import CandleRequest
        from runtime.market import Timeframe

        if self.start is not None and self.end is not None and self.end < self.start:
            raise InvalidInput("--to", str(self.last_day), f"must not be before --from {self.first_day}")
        if self.label is not None:
            choice("--label", self.label, dict.fromkeys(("start", "end")))
        frames = {str(frame): frame for frame in Timeframe}
        return CandleRequest(
            source=self.candles,
            start=self.first_day,
            end=self.last_day,
            instrument=self.instrument,
            zone=self.zone,
            label=cast('Literal["start", "end"] | None', self.label),
            timeframe=None if self.timeframe is None else choice("--timeframe", self.timeframe, frames),
            trust_name=self.instrument is not None,
        )


def read_candles(request: CandleRequest, state: Path | None, *, quiet: bool) -> tuple[CandleFile, ExchangeCalendar]:
    """Read the candles and, unless `quiet`, say on standard error what was wrong with them."""
    from actors.candle_source import load_candles
    from actors.histories import histories

    file, calendar = load_candles(request, histories(state))
    if not quiet:
        print_quality(file)
    return file, calendar


def read_options(request: BacktestRequest, file: CandleFile, state: Path | None) -> OptionData | None:
    """What a backtest of options on the index takes from files and the running system's database besides the candles."""
    from actors.histories import stored_chains
    from actors.option_market import option_data

    return option_data(request, file.instrument, file.array(), stored_chains(state))


def print_quality(file: CandleFile) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Column, Table

    report = file.report
    out = console(stderr=True)
    out.print(
        f"[bold]{escape(report.path)}[/]: {report.used:,} of {report.rows:,} rows used, {file.instrument} {file.timeframe}, "
        f"{file.opened_at[0]} to {file.opened_at[-1]} {file.zone}; a row carries its candle's {report.label}"
    )
    for note in report.notes:
        out.print(f"  {escape(note)}", style="dim")
    if not report.findings:
        return
    table = Table("data quality", Column("count", justify="right"), "became", "first examples", box=box.SIMPLE)
    for found in report.findings.values():
        table.add_row(str(found.problem), f"{found.count:,}", found.action, escape("; ".join(found.examples)))
    out.print(table)


@contextmanager
def progress_bar(text: str, *, quiet: bool) -> Generator[Progress | None]:
    """A bar with the time left, on standard error; nothing where that is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    out = console(stderr=True)
    if quiet or not out.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=out, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def choice(option: str, text: str, known: Mapping[str, Any]) -> Any:
    """The value called `text`. Raises `InvalidInput` with those there are."""
    if text not in known:
        raise InvalidInput(option, text, f"must be one of {', '.join(known)}")
    return known[text]
