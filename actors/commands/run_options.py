"""Options of the commands that run a strategy over candles: money, fills, the instrument, its options."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from actors.commands.candle_options import CandleOptions, ParametersOption, SeedOption, choice, progress_bar
from actors.commands.shared import JsonFlag, StateOption, parse_data, parse_settings
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    from actors.backtest_setup import BacktestRequest
    from runtime.backtest.run import Progress

_Text: TypeAlias = str | None


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a strategy is run, for whom, and what is paid."""

    settings: ParametersOption = None
    capital: Annotated[_Text, typer.Option("--capital", help="Starting capital, in the instrument's currency (default 500000).")] = None
    risk: Annotated[_Text, typer.Option("--risk", help="Fraction of the capital that a stopped-out trade may cost, such as 0.01.")] = None
    quantity: Annotated[_Text, typer.Option("--quantity", help="Units of every entry, instead of --risk.")] = None
    fees: Annotated[
        _Text,
        typer.Option(
            "--fees",
            metavar="SCHEDULE",
            help="indian_options, flat:RATE such as flat:0.0003, or none (default: flat:0.0003; options: indian_options).",
        ),
    ] = None
    slippage: Annotated[str, typer.Option("--slippage", help="0.02%, 2ticks, random:3 (up to 3 ticks, seeded), or 1ticks,random:2.")] = (
        "0ticks"
    )
    fill: Annotated[str, typer.Option("--fill", metavar="next_open|close", help="close is optimistic and is labelled so.")] = "next_open"
    seed: SeedOption = 7
    data: Annotated[
        _Text,
        typer.Option("--data", metavar="JSON|@FILE", help="Session settings as START_TRADING takes them: protection, sizing, risk, …"),
    ] = None
    kind: Annotated[
        _Text,
        typer.Option("--kind", metavar="INDEX|FUTURE|EQUITY|SPOT", help="What the instrument is; an INDEX is traded through its options."),
    ] = None
    lot_size: Annotated[_Text, typer.Option("--lot-size", help="Units of a lot; quantities are whole lots.")] = None
    tick_size: Annotated[_Text, typer.Option("--tick-size", help="Smallest step of a price.")] = None
    volatility: Annotated[
        str,
        typer.Option(
            "--volatility", metavar="realised|0.2|FILE", help="Of option premiums: realised, a fraction a year, or a file of India VIX."
        ),
    ] = "realised"
    chains: Annotated[
        _Text,
        typer.Option(
            "--chains", metavar="FILE|store", help="Recorded option chains: premiums follow them where there are any, the model elsewhere."
        ),
    ] = None
    expiry: Annotated[str, typer.Option("--expiry", metavar="weekly|monthly", help="Of the options that are traded on an index.")] = (
        "weekly"
    )
    expiry_weekday: Annotated[int, typer.Option("--expiry-weekday", min=0, max=4, help="Day of expiry; 0 is Monday, 3 Thursday.")] = 3

    def request(self, strategy: str, candles: CandleOptions, *, lane: str = "exact") -> BacktestRequest:
        """Raises `InvalidInput` naming the option that is wrong."""
        from actors.backtest_setup import BacktestRequest
        from runtime.backtest.result import FillModel, Lane
        from runtime.market import InstrumentKind

        kinds = {str(kind): kind for kind in InstrumentKind}
        return BacktestRequest(
            strategy=strategy,
            parameters=parse_settings(self.settings),
            session=parse_data(self.data),
            start=candles.first_day,
            end=candles.last_day,
            capital=_number("--capital", self.capital),
            risk=_number("--risk", self.risk),
            quantity=_number("--quantity", self.quantity),
            fees=self.fees,
            slippage=self.slippage,
            fill=choice("--fill", self.fill, {str(fill): fill for fill in FillModel}),
            lane=choice("--lane", lane, {str(lane): lane for lane in Lane}),
            seed=self.seed,
            kind=None if self.kind is None else choice("--kind", self.kind, kinds),
            lot_size=_number("--lot-size", self.lot_size),
            tick_size=_number("--tick-size", self.tick_size),
            volatility=self.volatility,
            chains=self.chains,
            expiry=choice("--expiry", self.expiry, {name: name for name in ("weekly", "monthly")}),
            expiry_weekday=self.expiry_weekday,
        )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What becomes of the result."""

    report: Annotated[Path | None, typer.Option("--report", metavar="FILE.html", help="Write a self-contained HTML report.")] = None
    save: Annotated[
        bool | None,
        typer.Option("--save/--no-save", help="Keep the result in the database (default: where one is running); see `shoal backtests`."),
    ] = None
    state: StateOption = None
    as_json: JsonFlag = False

    def check(self) -> None:
        """Before the work rather than after it. Raises `InvalidInput` for a report in a folder that is not there."""
        check_folder("--report", self.report)

    def progress(self, text: str) -> AbstractContextManager[Progress | None]:
        return progress_bar(text, quiet=self.as_json)

    def say_written(self, stored: str | None, *others: Path | None) -> None:
        """Which files there are now, and the id of the result in the database."""
        for path in (self.report, *others):
            if path is not None:
                typer.echo(f"written: {path}")
        typer.echo(f"stored as {stored}" if stored else "not stored: no database is running (see --save)")


def check_folder(option: str, path: Path | None) -> None:
    if path is not None and not path.resolve().parent.is_dir():
        raise InvalidInput(option, str(path), f"{path.resolve().parent} is not a folder")


def _number(option: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise InvalidInput(option, text, "is not a number")
    return value
