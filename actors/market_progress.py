"""How far the market-data actor has come: what its successor needs, and what everybody may count."""

from __future__ import annotations

from datetime import datetime

import msgspec

MARKET_STATISTICS = "shoal:market:statistics"


class MarketProgress(msgspec.Struct, frozen=True):
    """What a successor needs to go on: kept under `channels.CLOCK`."""

    ts: datetime
    seq: int
    barrier: int


class MarketStatistics(msgspec.Struct):
    """Counts of this session, published under `MARKET_STATISTICS` every minute."""

    candles: int = 0
    strategy_evaluations: int = 0
    signals: int = 0
    signals_by_rule: dict[str, int] = {}
    late_ticks: int = 0
    duplicate_ticks: int = 0
    finished: bool = False
    ts: datetime | None = None
