"""Strategies that raised an error and are off, where whoever answers for them can see it."""

from __future__ import annotations

from loguru import logger

from runtime.ports import Store
from runtime.signal_engine import StrategyFailed

STRATEGIES = "strategies"


async def note_failure(store: Store, failure: StrategyFailed) -> None:
    logger.error("strategy {} failed and is off: {}", failure.key, failure.error)
    await store.upsert(STRATEGIES, {failure.key: {"failed_at": failure.candle_time, "error": failure.error}})
