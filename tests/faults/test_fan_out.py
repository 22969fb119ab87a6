"""A host that is down while a signal goes out: who is missing is known, and its successor serves exactly those."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta

import pytest

from actors.fan_out import FanOut, fan_out
from actors.local_system import LocalSystem
from actors.placement import Placement, PlacementKind
from actors.virtual_time import VirtualClock, run_virtual
from adapters.memory import MemoryBus, MemoryStore
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.errors import InvalidInput
from runtime.market import IST

SESSION = date(2026, 11, 20)
USERS = [f"u{number}" for number in range(8)]
DEAD = "packed-1"


async def a_signal(system: LocalSystem) -> str:
    """The first that is decided from now on."""
    known = {str(each["_id"]) for each in await system.store.find("executions", {})}
    while True:
        await system.clock.sleep(1.0)
        news = [str(each["_id"]) for each in await system.store.find("executions", {}) if str(each["_id"]) not in known]
        if news:
            await system.settle()
            return news[0]


async def play() -> tuple[FanOut, FanOut, dict[str, str], Counter[str]]:
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), ticks_per_second=1))
    clock = VirtualClock(datetime.combine(SESSION, time(9, 14), IST))
    async with LocalSystem(market, clock) as system:
        for user in USERS:
            await system.send("START_TRADING", user)
        await system.settle()
        await system.begin()
        await a_signal(system)
        await system.placer.kill(DEAD)
        signal = await a_signal(system)
        without = await fan_out(system.bus, system.store, signal)
        await system.placer.ensure(Placement(DEAD, PlacementKind.PACKED))
        await system.until(clock.now() + timedelta(seconds=5))
        with_all = await fan_out(system.bus, system.store, signal)
        hosts = {str(each["_id"]): str(each["host"]) for each in await system.store.find("sessions", {"active": True})}
        heard = Counter(event.user_id for event in await system.events() if event.type == "SIGNAL" and event.data["signal_id"] == signal)
        return without, with_all, hosts, heard


def test_those_whose_host_was_down_are_named_and_served_by_its_successor_once() -> None:
    without, with_all, hosts, heard = run_virtual(play())
    theirs = sorted(user for user, host in hosts.items() if host == DEAD)

    assert 0 < len(theirs) < len(USERS)
    assert without.state == "published"
    assert without.hosts == {"packed-0": True, DEAD: False}
    assert without.missing == theirs
    assert without.served == len(USERS) - len(theirs)
    assert (with_all.hosts, with_all.missing, with_all.served) == ({"packed-0": True, DEAD: True}, [], len(USERS))
    assert heard == dict.fromkeys(USERS, 1)


async def test_a_signal_that_was_never_decided_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"no-such-signal.*newest are none"):
        await fan_out(MemoryBus(), MemoryStore(), "no-such-signal")
