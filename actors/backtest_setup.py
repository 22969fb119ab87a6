"""From what a user asks of a backtest to what the runtime is told: instrument, session, sizing, slippage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from actors.strategy_source import create_strategy, strategy_class, strategy_parameters
from runtime.backtest.result import BacktestSpec, FillModel, Lane, Slippage
from runtime.commands.configure import merge
from runtime.commands.data import StartData
from runtime.errors import InvalidInput
from runtime.fees import fee_schedule
from runtime.market import Instrument, InstrumentId, InstrumentKind, Segment, Timeframe
from runtime.session import SessionConfig, SizingMethod

_SLIPPAGE = re.compile(r"^(?:(?P<percent>\d+(?:\.\d+)?)%|(?P<ticks>\d+)ticks?|random:(?P<random>\d+))$")


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Money is in the instrument's currency.

    `strategy`: a name, or a file `my_strategy.py:MyStrategy`. `session`: settings as START_TRADING takes them, under all the
    others here. `risk`: fraction of the capital that a stopped-out trade may cost. `quantity`: units of every entry.
    `slippage`: `0.02%`, `2ticks`, `random:3` (up to 3 ticks, drawn from the seed) or two of them with a comma. `kind`,
    `lot_size` and `tick_size` describe the instrument where its id does not tell. Of options on an index: `volatility` is
    `realised`, a fraction a year, or a file of a volatility index; `chains` is a file of recorded option chains, or `store`;
    contracts that none tells of expire each week or month on `expiry_weekday` (0 is Monday).
    """

    strategy: str
    parameters: Mapping[str, object] = {}
    session: Mapping[str, Any] = {}
    start: date | None = None
    end: date | None = None
    capital: Decimal | None = None
    risk: Decimal | None = None
    quantity: Decimal | None = None
    fees: str | None = None
    slippage: str = "0ticks"
    fill: FillModel = FillModel.NEXT_OPEN
    lane: Lane = Lane.EXACT
    seed: int = 7
    kind: InstrumentKind | None = None
    lot_size: Decimal | None = None
    tick_size: Decimal | None = None
    volatility: str = "realised"
    chains: str | None = None
    expiry: Literal["weekly", "monthly"] = "weekly"
    expiry_weekday: int = 3


def backtest_spec(request: BacktestRequest, instrument: InstrumentId, timeframe: Timeframe) -> BacktestSpec:
    """Raises `InvalidInput` naming what is wrong and how to mend it; the strategy is made once, so its parameters are right."""
    create_strategy(request.strategy, request.parameters)
    described = describe_instrument(request, instrument)
    slippage, percent = parse_slippage(request.slippage)
    session = _session(request, described, timeframe)
    if percent is not None:
        session = msgspec.structs.replace(session, slippage_percent=percent)
    return BacktestSpec(
        session=session,
        instrument=described,
        start=request.start,
        end=request.end,
        fill=request.fill,
        slippage=slippage,
        lane=request.lane,
        seed=request.seed,
    )


def describe_instrument(request: BacktestRequest, instrument: InstrumentId) -> Instrument:
    """What is known of an instrument by its id. An index is one only for a strategy that trades options on it; for any other
    it stands for a future at its price, since an index itself cannot be traded.
    """
    exchange, colon, _ = instrument.partition(":")
    _, slash, quote = instrument.partition("/")
    if slash and not colon:
        usual = Instrument(
            id=instrument,
            kind=InstrumentKind.SPOT,
            segment=Segment.CRYPTO,
            currency=quote,
            tick_size=Decimal("0.01"),
            lot_size=Decimal("0.00001"),
        )
    elif exchange in {"NSE", "BSE"}:
        trades_options = getattr(strategy_class(request.strategy), "trades_options", False)
        usual = Instrument(id=instrument, kind=InstrumentKind.INDEX if trades_options else InstrumentKind.FUTURE)
    else:
        kind = InstrumentKind.FUTURE if exchange in {"CME", "CBOT"} else InstrumentKind.EQUITY
        usual = Instrument(id=instrument, kind=kind, segment=Segment.US, currency="USD", tick_size=Decimal("0.01"))
    told = {"kind": request.kind, "lot_size": request.lot_size, "tick_size": request.tick_size}
    return msgspec.structs.replace(usual, **{name: value for name, value in told.items() if value is not None})


def parse_slippage(text: str) -> tuple[Slippage, Decimal | None]:
    """Ticks and random ticks, and the percentage if that is what was asked for."""
    ticks = random_ticks = 0
    percent: Decimal | None = None
    for part in text.replace(" ", "").split(","):
        found = _SLIPPAGE.match(part)
        if found is None:
            raise InvalidInput(
                "--slippage",
                text,
                "write it as 0.02%, 2ticks or random:3 (up to 3 ticks, drawn from the seed), or two of them with a comma",
            )
        if found["percent"] is not None:
            percent = Decimal(found["percent"])
        elif found["ticks"] is not None:
            ticks = int(found["ticks"])
        else:
            random_ticks = int(found["random"])
    if percent and (ticks or random_ticks):
        raise InvalidInput("--slippage", text, "is either a percentage or ticks")
    return Slippage(ticks=ticks, random_ticks=random_ticks), percent


def _session(request: BacktestRequest, instrument: Instrument, timeframe: Timeframe) -> SessionConfig:
    on_index = instrument.kind is InstrumentKind.INDEX
    data: dict[str, Any] = {"fees": "indian_options" if on_index else "flat:0.0003", **request.session}
    data |= {"strategy": strategy_class(request.strategy).name, "instrument": instrument.id, "timeframe": str(timeframe)}
    data["parameters"] = strategy_parameters(request.strategy, request.parameters)
    given = {"capital": request.capital, "fees": request.fees}
    data |= {name: str(value) for name, value in given.items() if value is not None}
    sizing: dict[str, Any] = dict(data.get("sizing", {}))
    if request.quantity is not None:
        sizing |= {"method": SizingMethod.FIXED.value, "quantity": str(request.quantity)}
    elif request.risk is not None:
        sizing |= {"method": SizingMethod.FIXED_RISK.value, "risk_per_trade": str(request.risk)}
    elif not sizing and not on_index:
        sizing = {"method": SizingMethod.FIXED.value, "quantity": str(instrument.lot_size)}
    if sizing:
        data["sizing"] = sizing
    if not on_index and "protection" not in data:
        data["protection"] = {"exit_mode": "SIGNAL_ONLY", "square_off": None}
    if "risk" not in data:
        data["risk"] = {"max_daily_loss": None, "max_orders_per_day": _ORDERS_A_DAY, "max_orders_per_second": _ORDERS_A_SECOND}
    try:
        session = merge(SessionConfig(), StartData.model_validate_json(msgspec.json.encode(data)))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInput(field, first.get("input"), first["msg"]) from error
    fee_schedule(session.fees)
    return session


_ORDERS_A_DAY, _ORDERS_A_SECOND = 100_000, 100
"""Limits that a backtest does not meet unless others are asked for: every signal shall count."""
