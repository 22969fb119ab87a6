"""Every collection, in whatever store: indexes, unique keys and how long its documents live. `_id` is always the natural key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from runtime.errors import InternalError

JOURNAL = "journal"
SNAPSHOTS = "snapshots"
CANDLES = "candles"


class Index(NamedTuple):
    """`fields` ascending, a leading "-" for descending. With `keep`, documents go that long after the time in the field."""

    fields: Sequence[str]
    unique: bool = False
    keep: timedelta | None = None


COLLECTIONS: dict[str, Sequence[Index]] = {
    JOURNAL: [Index(["at"], keep=timedelta(days=400))],  # {u: user, n: number}; snapshots bound how far back a start reads
    SNAPSHOTS: [],  # user
    "users": [Index(["email"])],
    "sessions": [Index(["desired"])],  # user: the session that should run
    "subscriptions": [Index(["user_id"]), Index(["strategy_key"])],
    "broker_credentials": [Index(["user_id", "broker"])],  # envelopes sealed by the vault, never clear text
    "commands": [Index(["user_id", "-at"]), Index(["at"], keep=timedelta(days=7))],  # answered again for 24 h at least
    "signals": [Index(["strategy_key", "-ts"])],
    "executions": [Index(["state", "ts"]), Index(["strategy_key", "-candle_time"]), Index(["ts"], keep=timedelta(days=30))],  # signal
    "execution_logs": [Index(["user_id", "-ts"]), Index(["signal_id"])],
    # Each of these takes a share of every signal to every user: only what people look for, a user's by way of his newest.
    "orders": [Index(["user_id", "-ts"]), Index(["broker_order_id"])],
    "order_logs": [Index(["order_id"])],
    "trades": [Index(["user_id", "-ts"])],
    "positions": [Index(["user_id", "status"])],
    "instruments": [Index(["underlying", "expiry", "strike"])],  # canonical symbol
    "instrument_symbols": [Index(["broker", "key"]), Index(["instrument"])],  # broker:symbol, and broker:symbol:user for a user's own
    CANDLES: [],  # {i: instrument, t: timeframe, o: opened at}
    "ticks": [Index(["instrument", "ts"]), Index(["ts"], keep=timedelta(days=7))],
    "option_chains": [Index(["underlying", "-ts"]), Index(["ts"], keep=timedelta(days=30))],
    "backtests": [Index(["user_id", "-ts"]), Index(["-ts"])],  # fingerprint
    "backtest_parts": [Index(["backtest", "number"])],  # long content of a result, {backtest}:{number}
    "platform": [],  # counters, kill switch, hosts that are closed
    "moves": [],  # user/command: a user on his way to another host
    "rollouts": [Index(["state"])],  # baseline's strategy key: its newest canary roll-out
    "strategies": [],  # strategy key: that it failed
}


def check_declared(collection: str) -> None:
    """Raises `InternalError` for a collection that is not in `COLLECTIONS`: it would have no indexes and grow for ever."""
    if collection not in COLLECTIONS:
        raise InternalError(f"collection {collection!r} is not declared in adapters/collections.py")
