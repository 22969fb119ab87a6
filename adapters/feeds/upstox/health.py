"""How the feed is, for operators and tests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class FeedState(StrEnum):
    IDLE = "IDLE"
    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"
    DOWN = "DOWN"
    AUTH_EXPIRED = "AUTH_EXPIRED"
    CLOSED = "CLOSED"


class FeedHealth(msgspec.Struct):
    """Counts since the start. `lag_ms` is receive time less the venue's sending time of the newest frame."""

    state: FeedState = FeedState.IDLE
    reason: str = ""
    last_frame_at: datetime | None = None
    """Venue time of the newest frame with prices."""
    lag_ms: float = 0.0
    frames: int = 0
    malformed: int = 0
    dropped: int = 0
    """Ticks replaced by newer ones of the same instrument because the reader was too slow."""
    connects: int = 0
    refused: int = 0
    gaps: int = 0
