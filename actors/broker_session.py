"""One session with a broker per account, whichever host has its user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from loguru import logger

from actors.lease import Lease
from actors.streams import unless_redis_is_away
from runtime import channels
from runtime.errors import LeaseLost, ServerUnavailable
from runtime.ports import Bus, Clock


class BrokerSession:
    """The right of a host to be logged in for a user, to listen to his orders and to send. Without a `lease` nobody contests it."""

    def __init__(self, user_id: str, lease: Lease | None) -> None:
        self._user_id, self._lease = user_id, lease

    async def begin(self) -> None:
        """Once the host that the user comes from has ended its own session, or is dead and its lease has run out. Without Redis
        nobody can be asked, and a position without an exit is worse than two sessions.
        """
        if self._lease is None:
            return
        try:
            await self._lease.take(by_force=False)
        except ServerUnavailable as error:
            logger.warning("whether another host has a session of {} with his broker is not known: {}", self._user_id, error)

    async def lost(self) -> None:
        """Hold it, and return when another host has it."""
        if self._lease is None:
            await asyncio.Event().wait()
            return
        try:
            await self._lease.keep()
        except LeaseLost:
            logger.warning("the account of {} is another host's now", self._user_id)

    async def end(self) -> None:
        if self._lease is not None:
            await unless_redis_is_away(self._lease.release())


def sessions_of(bus: Bus, clock: Clock, host_id: str) -> Callable[[str], BrokerSession]:
    """Of one host, whose successor of the same name goes on with them at once."""
    return lambda user_id: BrokerSession(user_id, Lease(bus, clock, channels.account_lease(user_id), holder=host_id))


def uncontested(user_id: str) -> BrokerSession:
    """Where there is one host only."""
    return BrokerSession(user_id, None)
