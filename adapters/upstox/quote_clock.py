"""The venue's clock where it is not ours: a venue that plays a day of its own says in its quotes what time it is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from adapters.upstox.client import UpstoxClient, parse
from runtime.errors import BrokerUnavailable


class _Quote(msgspec.Struct, frozen=True):
    timestamp: str | None = None


class QuoteClock:
    """`runtime.ports.Clock` that goes on from a time named by the venue, `speed` venue seconds per second."""

    def __init__(self, started_at: datetime, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._started_at, self._speed, self._monotonic = started_at, speed, monotonic
        self._read_at = monotonic()

    @classmethod
    async def read(cls, client: UpstoxClient, key: str, speed: float) -> QuoteClock:
        """Asks for one quote. Raises `BrokerUnavailable`, also when the answer names no time."""
        quotes: dict[str, _Quote] = parse(await client.read("/v2/market-quote/quotes", {"instrument_key": key}), dict[str, _Quote])
        stamp = next((quote.timestamp for quote in quotes.values() if quote.timestamp), None)
        if stamp is None:
            raise BrokerUnavailable(f"a quote of {key} names no time")
        return cls(datetime.fromisoformat(stamp), speed)

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=(self._monotonic() - self._read_at) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Of this machine's clock."""
        await asyncio.sleep(seconds)
