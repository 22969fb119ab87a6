"""Market data frames, made with the vendor's own message classes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

pytest.importorskip("google.protobuf", reason="the extra `upstox` is not installed")
from adapters.upstox.messages import feed_response

Frame = feed_response()


def milliseconds(ts: datetime) -> int:
    return round(ts.timestamp() * 1000)


def full(
    *, price: float, traded_at: int, day_volume: int, bid: float = 0.0, ask: float = 0.0, quantity: int = 75, levels: int = 5
) -> dict[str, Any]:
    """One contract in mode `full`, in the field names of the vendor's JSON form; `traded_at` in epoch milliseconds."""
    depth = [{"bidQ": 75, "bidP": bid - level, "askQ": 75, "askP": ask + level} for level in range(levels)]
    greeks = {"delta": 0.5, "theta": -8.5, "gamma": 0.0007, "vega": 16.7, "rho": 3.9}
    bars = [
        {"interval": name, "open": price, "high": price, "low": price, "close": price, "vol": 75, "ts": traded_at} for name in ("1d", "I1")
    ]
    trade = {"ltp": price, "ltt": traded_at, "ltq": quantity, "cp": price}
    market = {
        "ltpc": trade,
        "marketLevel": {"bidAskQuote": depth},
        "optionGreeks": greeks,
        "marketOHLC": {"ohlc": bars},
        "atp": price,
        "vtt": day_volume,
        "oi": 256800.0,
        "iv": 0.13,
        "tbq": 1e5,
        "tsq": 1e5,
    }
    return {"fullFeed": {"marketFF": market}, "requestMode": "full_d5"}


def index(price: float, traded_at: int) -> dict[str, Any]:
    return {"fullFeed": {"indexFF": {"ltpc": {"ltp": price, "ltt": traded_at, "cp": price}}}}


def encode(payload: dict[str, Any]) -> bytes:
    """The bytes of a message given in the vendor's JSON form."""
    from google.protobuf import json_format

    return json_format.ParseDict(payload, Frame(), ignore_unknown_fields=True).SerializeToString()


def feeds(kind: str, ts: int, **by_key: dict[str, Any]) -> bytes:
    return encode({"type": kind, "currentTs": ts, "feeds": by_key})
