"""`shoal scan`: a strategy over a file of candles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from actors.commands.shared import SettingsOption, parse_settings


def scan(
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY", help="Its name.")],
    candles: Annotated[Path, typer.Option("--candles", help="Parquet or CSV file of 1-minute candles.")],
    start: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day; data before it is warm-up.")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    settings: SettingsOption = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", "--json", help="One JSON object per line.")] = False,
    every_candle: Annotated[bool, typer.Option("--every-candle", help="A line per candle, not only per signal.")] = False,
) -> None:
    """Run a strategy over recorded candles and show its signals with every value behind them.

    Examples:
    - `shoal scan index_options_scalper --candles BANKNIFTY.parquet --from 2024-01-01 --to 2024-01-31`

    - `shoal scan index_options_scalper --candles day.csv --set rules=orb --set trade_lock_minutes=0 --jsonl --every-candle`
    """
    import json

    from actors.scan import scan as run
    from runtime.errors import InvalidInput

    if not candles.is_file():
        raise InvalidInput("--candles", str(candles), "is not a file")
    if start is not None and end is not None and end < start:
        raise InvalidInput("--to", str(end.date()), f"must not be before --from {start.date()}")
    found = run(strategy, parse_settings(settings), candles, _day(start), _day(end), every_candle=every_candle)
    if jsonl:
        for row in found:
            typer.echo(json.dumps(row))
    else:
        _print(found)


def _day(value: datetime | None) -> date | None:
    return None if value is None else value.date()


def _print(rows: Iterator[Mapping[str, Any]]) -> None:
    """A table of at most a screenful of columns; the whole context is in --jsonl."""
    from rich import box, get_console
    from rich.table import Column, Table

    table = Table(Column("time", no_wrap=True), "rule", "direction", "price", "context", box=box.SIMPLE)
    count = 0
    for row in rows:
        count += 1
        context = "  ".join(f"{name} {_short(value)}" for name, value in row["context"].items() if value is not None)
        table.add_row(str(row["time"]), row["rule"] or "", row["direction"] or "", _short(row["price"]), context)
    get_console().print(table)
    typer.echo(f"{count} rows")


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
