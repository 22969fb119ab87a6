"""Lockstep: in an accelerated replay the market waits, at every minute, until everybody has followed it."""

from __future__ import annotations

import asyncio

from loguru import logger

from runtime import channels
from runtime.ports import Bus

ASK_AGAIN_SECONDS = 0.5
GONE = b"gone"
"""Progress of a participant that has been removed."""


class Lockstep:
    """Participants write the barrier they have reached under `channels.PROGRESS` and ring the channel of the same name."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._rung = asyncio.Event()
        self._waited: dict[str, float] = {}

    async def listen(self) -> None:
        async with self._bus.subscribe(channels.PROGRESS) as bells:
            async for _ in bells:
                self._rung.set()

    async def reached(self, barrier: int) -> bool:
        """True once everybody has reported `barrier`; False when it is time to ask again (a participant may have restarted)."""
        deadline = asyncio.get_running_loop().time() + ASK_AGAIN_SECONDS
        while True:
            self._rung.clear()
            progress = await self._bus.get_fields(channels.PROGRESS)
            missing = [name for name, value in progress.items() if value != GONE and int(value) < barrier]
            if not missing:
                return True
            try:
                async with asyncio.timeout_at(deadline):
                    await self._rung.wait()
            except TimeoutError:
                logger.debug("the market waits for {}", ", ".join(sorted(missing)[:8]))
                return False


async def report(bus: Bus, participant: str, barrier: int) -> None:
    await bus.set_field(channels.PROGRESS, participant, str(barrier).encode())
    await bus.publish(channels.PROGRESS, participant.encode())
