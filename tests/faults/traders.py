"""The users of a fault test, and the same day without faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

from actors.local_system import LocalSystem
from actors.services import RunSpec, build_venue
from actors.virtual_time import VirtualClock, run_virtual
from runtime.events import PublicEvent
from runtime.market import IST

STEADFAST: Mapping[str, object] = {
    "sizing": {"method": "fixed", "quantity": 30},
    "protection": {"exit_mode": "SIGNAL_ONLY"},
    "risk": {"max_daily_loss": None, "max_orders_per_day": 10_000, "max_orders_per_second": 100},
}
"""Its orders depend on signals and the clock alone: whatever is killed, they must be those of a day without faults."""

GUARDED: Mapping[str, object] = {"sizing": {"method": "fixed", "quantity": 30}, "risk": {"max_daily_loss": None}}
"""Leaves by stop and target too. A price that nobody saw, because its reader was dead, may cost or give it a trade."""


class Trader(NamedTuple):
    user_id: str
    data: Mapping[str, object]
    is_steadfast: bool


def traders(count: int) -> list[Trader]:
    """Every third one is guarded, every fifth one trades five-minute candles, and every other one has a process of its own."""
    return [_trader(number) for number in range(count)]


def _trader(number: int) -> Trader:
    steadfast = number % 3 != 1
    data = dict(STEADFAST if steadfast else GUARDED)
    if number % 5 == 2:
        data["timeframe"] = "5m"
    data["placement"] = "dedicated" if number % 2 else "packed"
    return Trader(f"trader-{number:02d}", data, steadfast)


def undisturbed(spec: RunSpec, users: Sequence[Trader]) -> list[PublicEvent]:
    """The events of the same sessions in virtual time, in one process, with nothing killed."""
    before_open = datetime.combine(spec.sessions[0], time(9, 15), IST) - timedelta(minutes=1)

    async def run() -> list[PublicEvent]:
        async with LocalSystem(build_venue(spec), VirtualClock(before_open), packed_hosts=spec.packed_hosts) as system:
            for user in users:
                await system.send("START_TRADING", user.user_id, user.data)
            await system.settle()
            await system.play()
            return await system.events()

    return run_virtual(run())
