"""Options of the commands that run a strategy over candles, and what they share: reading, progress, the report on the data."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import typer

from actors.commands.shared import console
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from actors.candle_source import CandleRequest
    from adapters.candle_files import CandleFile
    from runtime.backtest.run import Progress
    from runtime.calendar import ExchangeCalendar

StrategyArgument: TypeAlias = Annotated[str, typer.Argument(metavar="STRATEGY", help="Its name, or a file: my_strategy.py:MyStrategy.")]
CandlesOption: TypeAlias = Annotated[
    str, typer.Option("--candles", metavar="FILE", help="Parquet or CSV file; or store:INSTRUMENT; or BROKER:INSTRUMENT.")
]
FromOption: TypeAlias = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day that counts; candles before it are warm-up.")
]
ToOption: TypeAlias = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, included.")]
ParametersOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the strategy; repeatable.")
]
InstrumentOption: TypeAlias = Annotated[
    str | None, typer.Option("--instrument", help="What a file holds, such as NSE:RELIANCE or BTC/USDT.")
]
ZoneOption: TypeAlias = Annotated[
    str | None, typer.Option("--zone", help="Time zone of a file's times, where they carry none: Asia/Kolkata, UTC, …")
]
LabelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--label", metavar="start|end", help="Whether a row's time is its candle's start or end (default: told from the sessions)."
    ),
]
TimeframeOption: TypeAlias = Annotated[
    str | None, typer.Option("--timeframe", help="Of the candles (default: told from the file; store and broker: 1m).")
]
CapitalOption: TypeAlias = Annotated[
    str | None, typer.Option("--capital", help="Starting capital, in the instrument's currency (default 500000).")
]
RiskOption: TypeAlias = Annotated[
    str | None, typer.Option("--risk", help="Fraction of the capital that a stopped-out trade may cost, such as 0.01.")
]
QuantityOption: TypeAlias = Annotated[str | None, typer.Option("--quantity", help="Units of every entry, instead of --risk.")]
FeesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--fees",
        metavar="SCHEDULE",
        help="indian_options, flat:RATE such as flat:0.0003, or none (default: flat:0.0003; options: indian_options).",
    ),
]
SlippageOption: TypeAlias = Annotated[
    str, typer.Option("--slippage", help="0.02%, 2ticks, random:3 (up to 3 ticks, seeded), or 1ticks,random:2.")
]
FillOption: TypeAlias = Annotated[str, typer.Option("--fill", metavar="next_open|close", help="close is optimistic and is labelled so.")]
SeedOption: TypeAlias = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")]
SessionOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--data", metavar="JSON|@FILE", help="Session settings as START_TRADING takes them: protection, sizing, risk, …"),
]
KindOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--kind", metavar="INDEX|FUTURE|EQUITY|SPOT", help="What the instrument is; an INDEX is traded through its options."),
]
LotSizeOption: TypeAlias = Annotated[str | None, typer.Option("--lot-size", help="Units of a lot; quantities are whole lots.")]
TickSizeOption: TypeAlias = Annotated[str | None, typer.Option("--tick-size", help="Smallest step of a price.")]
VolatilityOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--volatility", metavar="realised|0.2|FILE", help="Of option premiums: realised, a fraction a year, or a file of India VIX."
    ),
]
ExpiryOption: TypeAlias = Annotated[
    str, typer.Option("--expiry", metavar="weekly|monthly", help="Of the options that are traded on an index.")
]
WeekdayOption: TypeAlias = Annotated[int, typer.Option("--expiry-weekday", min=0, max=4, help="Day of expiry; 0 is Monday, 3 Thursday.")]


def number(option: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise InvalidInput(option, text, "is not a number")
    return value


def day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


def candle_request(
    source: str,
    *,
    start: datetime | None,
    end: datetime | None,
    instrument: str | None,
    zone: str | None,
    label: str | None,
    timeframe: str | None,
) -> CandleRequest:
    """Raises `InvalidInput` naming the option that is wrong."""
    from actors.candle_source import CandleRequest
    from runtime.market import Timeframe

    if start is not None and end is not None and end < start:
        raise InvalidInput("--to", str(end.date()), f"must not be before --from {start.date()}")
    if label not in {None, "start", "end"}:
        raise InvalidInput("--label", label, "must be start or end")
    frames = [str(frame) for frame in Timeframe]
    if timeframe is not None and timeframe not in frames:
        raise InvalidInput("--timeframe", timeframe, f"must be one of {', '.join(frames)}")
    return CandleRequest(
        source=source,
        start=day(start),
        end=day(end),
        instrument=instrument,
        zone=zone,
        label=cast('Literal["start", "end"] | None', label),
        timeframe=None if timeframe is None else Timeframe(timeframe),
        trust_name=instrument is not None,
    )


def read(request: CandleRequest, state: Path | None, *, quiet: bool) -> tuple[CandleFile, ExchangeCalendar]:
    """Read the candles and, unless `quiet`, say on standard error what was wrong with them."""
    from actors.candle_source import load_candles
    from actors.histories import histories

    file, calendar = load_candles(request, histories(state))
    if not quiet:
        print_quality(file)
    return file, calendar


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
