"""Manners on the bus that several actors share."""

from __future__ import annotations

from collections.abc import Awaitable

from loguru import logger

from runtime.errors import ServerUnavailable


async def unless_redis_is_away(write: Awaitable[None]) -> None:
    """For what the next write makes good, or a successor finds out by itself: trading does not stop for it."""
    try:
        await write
    except ServerUnavailable as error:
        logger.warning("not told to Redis: {}", error)


def is_after(entry_id: str, other: str) -> bool:
    """Whether one stream entry is newer than another."""
    return _order(entry_id) > _order(other)


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence or 0)
