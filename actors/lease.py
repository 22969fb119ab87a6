"""One of several processes speaks; a lease on the bus says which, and a fencing token proves it to whoever is spoken to."""

from __future__ import annotations

import secrets

from loguru import logger

from runtime.errors import LeaseLost, ServerUnavailable
from runtime.ports import Bus, Clock

LEASE_SECONDS = 5.0
_RENEWALS = 3
"""In the life of a lease: two may be lost."""


class Lease:
    """`token` is that of the time it was taken; 0 before. A holder that dies keeps it for `seconds` at most."""

    def __init__(self, bus: Bus, clock: Clock, name: str, *, seconds: float = LEASE_SECONDS, holder: str | None = None) -> None:
        """`holder`: a name that a successor goes on under without waiting; None: this process and no other."""
        self.name = name
        self.token = 0
        self._bus, self._clock, self._seconds = bus, clock, seconds
        self._holder = holder or secrets.token_hex(8)

    async def take(self, *, by_force: bool) -> None:
        """Return when it is ours: at once by force, which the holder before then hears of; else when it falls free."""
        while (token := await self._bus.take_lease(self.name, self._holder, self._seconds, by_force=by_force)) is None:
            await self._clock.sleep(self._seconds / _RENEWALS)
        self.token = token
        logger.info("lease {} taken with token {}", self.name, token)

    async def release(self) -> None:
        """Give it back before its time: whoever waits need not wait until it runs out."""
        await self._bus.release_lease(self.name, self._holder)

    async def keep(self) -> None:
        """Renew it until it is lost. One that ran out while the bus was away, and that nobody took, goes on.

        Raises:
            LeaseLost: another has it, or had it.
        """
        while True:
            await self._clock.sleep(self._seconds / _RENEWALS)
            try:
                token = await self._bus.take_lease(self.name, self._holder, self._seconds)
            except ServerUnavailable as error:
                logger.warning("lease {} waits to be renewed: {}", self.name, error)
                continue
            if token is None or token > self.token + 1:
                raise LeaseLost(self.name, self.token)
            self.token = token
