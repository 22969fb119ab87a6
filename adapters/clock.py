"""The wall clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class WallClock:
    """`runtime.ports.Clock` of this machine; keep it synchronised (NTP), as order rate limits and session times rely on it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
