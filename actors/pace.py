"""Lockstep: in an accelerated replay the market waits, at every minute, until everybody has followed it."""

from __future__ import annotations

import asyncio

from loguru import logger

from runtime import channels
from runtime.ports import Bus

ASK_AGAIN_SECONDS = 0.5
GONE = "gone"
"""Progress of a participant that has been removed."""


class Lockstep:
    """Participants keep the barrier they have reached under `channels.PROGRESS` and say so on the channel of the same name."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._news = asyncio.Event()
        self._progress: dict[str, str] = {}

    async def listen(self) -> None:
        async with self._bus.subscribe(channels.PROGRESS) as reports:
            async for _, payload in reports:
                participant, _, barrier = payload.decode().rpartition(" ")
                self._progress[participant] = barrier
                self._news.set()

    async def reached(self, barrier: int) -> bool:
        """True once everybody has reported `barrier`; False when it is time to ask again (a participant may have restarted)."""
        deadline = asyncio.get_running_loop().time() + ASK_AGAIN_SECONDS
        while missing := [name for name, value in self._progress.items() if value != GONE and int(value) < barrier]:
            self._news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                logger.debug("the market waits for {}", ", ".join(sorted(missing)[:8]))
                await self.refresh()
                return False
        return True

    async def refresh(self) -> None:
        """Who takes part, from the durable record: messages may have been missed."""
        self._progress = {name: value.decode() for name, value in (await self._bus.get_fields(channels.PROGRESS)).items()}


async def report(bus: Bus, participant: str, barrier: int | str) -> None:
    await bus.set_fields(channels.PROGRESS, {participant: str(barrier).encode()})
    await bus.publish(channels.PROGRESS, f"{participant} {barrier}".encode())
