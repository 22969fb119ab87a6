"""A backtest for many users at once: the strategy runs once, each user has sizes, limits, capital and fees of their own."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.backtest_setup import BacktestRequest, backtest_spec
from actors.option_market import OptionData, option_market
from actors.strategy_source import create_strategy
from adapters.candle_files import CandleFile
from runtime.backtest.fleet import FleetResult, FleetUser, run_fleet
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = ("capital", "risk", "quantity")


def read_users(path: Path) -> dict[str, dict[str, Any]]:
    """What each user asks for, by user id: a CSV with `user_id` and any of capital, risk, quantity, fees; or a JSON list of the same,
    where `data` may hold more settings as START_TRADING takes them.

    Raises:
        InvalidInput: the file cannot be read, names no user, or one twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = msgspec.json.decode(text, type=list[dict[str, Any]]) if path.suffix == ".json" else list(csv.DictReader(text.splitlines()))
    except OSError as error:
        raise InvalidInput("--users", str(path), f"cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InvalidInput("--users", str(path), f"must be a JSON list of users: {error}") from error
    users: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(cast("list[dict[str, Any]]", rows), start=1):
        asked = {str(name).strip(): value for name, value in row.items() if value not in (None, "")}
        user_id = str(asked.pop("user_id", ""))
        unknown = asked.keys() - {*_NUMBERS, "fees", "data"}
        if not user_id or unknown or user_id in users:
            wrong = "has no user_id" if not user_id else f"has {', '.join(sorted(unknown))}" if unknown else f"names user {user_id} again"
            raise InvalidInput("--users", f"user {number}", f"{wrong}; give user_id, and any of {', '.join([*_NUMBERS, 'fees'])}, data")
        users[user_id] = asked
    if not users:
        raise InvalidInput("--users", str(path), "names no user")
    return users


def run_users(
    request: BacktestRequest,
    users: Mapping[str, Mapping[str, Any]],
    file: CandleFile,
    calendar: ExchangeCalendar,
    options: OptionData | None,
) -> FleetResult:
    """Raises `InvalidInput` naming the user whose settings are wrong."""
    candles = file.array()
    spec = backtest_spec(request, file.instrument, file.timeframe)
    fleet = [FleetUser(user_id=name, session=_session(request, name, asked, file)) for name, asked in users.items()]
    market = option_market(request, spec.instrument, candles, options)
    return run_fleet(spec, fleet, candles, lambda: create_strategy(request.strategy, request.parameters), calendar=calendar, options=market)


def _session(request: BacktestRequest, user_id: str, asked: Mapping[str, Any], file: CandleFile) -> Any:
    try:
        changes: dict[str, Any] = {name: Decimal(str(asked[name])) for name in _NUMBERS if name in asked}
        if "fees" in asked:
            changes["fees"] = asked["fees"]
        own = msgspec.structs.replace(request, session={**request.session, **asked.get("data", {})}, **changes)
        return backtest_spec(own, file.instrument, file.timeframe).session
    except (InvalidInput, InvalidOperation) as error:
        raise InvalidInput("--users", user_id, str(error)) from error


def rows(result: FleetResult) -> list[dict[str, Any]]:
    """One per user: money in the instrument's currency; `drawdown` the largest, see `drawdowns`."""
    falls = drawdowns(result).min(axis=1)
    return [
        {
            "user_id": user,
            "trades": int(result.trades[number]),
            "gross": float(result.gross[number]),
            "fees": float(result.fees[number]),
            "net": float(result.net[number]),
            "drawdown": float(falls[number]),
            "final_equity": float(result.equity[number, -1]),
        }
        for number, user in enumerate(result.users)
    ]


def drawdowns(result: FleetResult) -> NDArray[np.float64]:
    """Of each user and day, as a fraction below the highest close so far, the starting capital included; zero or below."""
    peaks = np.maximum(np.maximum.accumulate(result.equity, axis=1), result.capital[:, None])
    return result.equity / peaks - 1.0


def curves(result: FleetResult) -> pd.DataFrame:
    """`user_id`, `day`, `equity` and `drawdown`: a row per user and day, in the order of users."""
    import pandas as pd

    days = len(result.day)
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.array(result.users, dtype=object), days),
            "day": np.tile(result.day.astype("datetime64[s]"), len(result.users)),
            "equity": result.equity.ravel(),
            "drawdown": drawdowns(result).ravel(),
        }
    )
