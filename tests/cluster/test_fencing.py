"""Two processes of one host's name, as after a pause that its cluster took for death: one of them trades."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from actors.services import Servers
from actors.trader_host import TraderHost
from adapters.clock import WallClock
from runtime.errors import Fenced
from runtime.events import EventType
from tests.cluster.conftest import CLUSTER, Platform

pytestmark = CLUSTER

USER = "frozen"
HOST = f"user-{USER}"
SECONDS_MAX = 30.0


async def test_a_frozen_host_that_wakes_up_behind_its_successor_ends_without_a_word(platform: Platform) -> None:
    system, outside = platform
    outside.ask("START_TRADING", USER, {"placement": "dedicated"})
    frozen = system.cluster.pids()[HOST]
    os.kill(frozen, signal.SIGSTOP)
    servers = Servers(system.spec)
    host = TraderHost(HOST, bus=servers.bus, journal=servers.journal, store=servers.store, clock=WallClock())
    successor = asyncio.create_task(host.run())
    async with asyncio.timeout(SECONDS_MAX):
        await host.ready.wait()
    await asyncio.to_thread(outside.ask, "PAUSE_TRADING", USER, command_id="pause-frozen")

    os.kill(frozen, signal.SIGCONT)
    restarted = f"a process of {HOST} after {frozen}"
    await asyncio.to_thread(outside.wait, lambda: system.cluster.pids().get(HOST) not in {None, frozen}, SECONDS_MAX, restarted)
    await asyncio.to_thread(outside.wait, lambda: len(outside.of(USER, EventType.SESSION_RECOVERED)) == 2, SECONDS_MAX, "recovery")
    await asyncio.to_thread(outside.ask, "RESUME_TRADING", USER, command_id="resume-frozen")
    with pytest.raises(ExceptionGroup) as ended:  # it has read the command too, and found that the user is another's again
        async with asyncio.timeout(SECONDS_MAX):
            await successor
    await servers.close()

    assert ended.group_contains(Fenced)
    assert [len(outside.answers[name]) for name in ("pause-frozen", "resume-frozen")] == [1, 1]
    events = outside.of(USER)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.data["epoch"] for event in events if event.type is EventType.SESSION_RECOVERED] == [2, 3]
    assert outside.ask("STOP_TRADING", USER).type is EventType.COMMAND_ACCEPTED
