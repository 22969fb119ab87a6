"""A supervisor that dies at any step of a halt: once one host may have heard of it, it is kept, told to all, and answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SignalMessage, encode
from runtime import channels
from runtime.orders import Leg
from runtime.signals import Side
from tests.builders import at, signal
from tests.faults.test_host_restart import settle
from tests.faults.test_migration import OLD, World

DOORS = ("stream", "channel")


class HaltWorld(World):
    """At step number `dies_at` of the supervisor's work on a halt its process is gone."""

    def __init__(self, dies_at: int | None) -> None:
        super().__init__(None)
        self.dies_at = dies_at
        self.supervising: asyncio.Task[None] | None = None

    async def step(self) -> None:
        """Of the supervisor; the hosts, which make the same steps, are left alone."""
        task: Any = asyncio.current_task()
        if self.steps is None or self.supervising is None or not task.get_coro().__qualname__.startswith("Supervisor."):
            return
        self.steps += 1
        if self.steps == self.dies_at:
            self.supervising.cancel()
            await asyncio.Event().wait()

    async def begin(self) -> None:
        for host in self.hosts.values():
            self.tasks.append(asyncio.create_task(host.run()))
            await host.ready.wait()
        self.supervising = asyncio.create_task(self.supervisor.run())
        await self.supervisor.ready.wait()
        await self.send("START_TRADING", sizing={"method": "fixed", "quantity": 30})
        await settle()
        await self.price(100.0)
        await settle()

    async def halt(self, door: str) -> None:
        message = encode({"action": "HALT_ALL", "command_id": "halt", "data": {"reason": "drill"}})
        if door == "stream":
            await self.bus.append(channels.COMMANDS_STREAM, message, max_length=1_000)
        else:
            await self.bus.publish(channels.COMMANDS, message)

    async def restart_host(self, host_id: str) -> None:
        task = self.tasks.pop(0 if host_id == OLD else 1)
        task.cancel()
        await asyncio.wait([task])
        host: TraderHost = self._host(host_id, VirtualClock(at("10:00")))
        self.hosts[host_id] = host
        self.tasks.insert(0 if host_id == OLD else 1, asyncio.create_task(host.run()))
        await host.ready.wait()

    async def signal(self, clock: str, side: Side = Side.LONG) -> None:
        message = SignalMessage(signal=signal(side, clock), closed_at_ns=0)
        self.signals_id = await self.bus.append(channels.SIGNALS, encode(message), max_length=10)
        await self.price(100.0)
        await settle()

    async def restart_supervisor(self) -> None:
        successor = type(self.supervisor)(
            bus=self.bus,
            store=self.store,
            clock=VirtualClock(at("10:00")),
            placer=self.supervisor._sessions._placer,
            catalogue=self.supervisor._catalogue,
            vault=self.supervisor._vault,
            packed_hosts=2,
            dedicated_max=0,
        )
        self.tasks.append(asyncio.create_task(successor.run()))
        await successor.ready.wait()
        await asyncio.sleep(10)

    @property
    def entries(self) -> int:
        return sum(order.leg is Leg.ENTRY for _, order in self.ledger)

    @property
    def is_kept(self) -> bool:
        return bool(self.store._collections["platform"].get("halt:platform", {}).get("active"))


async def halted(door: str, dies_at: int | None) -> tuple[HaltWorld, bool, list[dict[str, Any]]]:
    """The world afterwards, whether anybody could have heard of the halt before the death, and the answers to it."""
    world = HaltWorld(dies_at)
    heard: list[bytes] = []

    async def listen() -> None:
        async with world.bus.subscribe(channels.HALTS) as cries:
            async for _, payload in cries:
                heard.append(payload)

    listening = asyncio.create_task(listen())
    await world.begin()
    world.steps = 0
    await world.halt(door)
    await asyncio.sleep(1)
    was_heard = bool(heard) or bool(await world.bus.get_fields(channels.HALTS_AHEAD)) or world.is_kept
    if dies_at is not None:
        assert world.supervising is not None
        assert world.supervising.done()
        if was_heard:  # nothing leaves in between, neither from a host that heard the cry nor from one that starts now
            await world.restart_host(OLD)
            await world.signal("10:00:30")
            assert world.entries == 0
        await world.restart_supervisor()
    listening.cancel()
    await world.signal("10:00:45", Side.SHORT)
    answers = [event.data for event in await world.events() if event.data.get("command_id") == "halt" and "COMMAND" in event.type]
    if dies_at is None:
        world.tasks.append(world.supervising)  # type: ignore[arg-type]
    await world.stop()
    return world, was_heard, answers


@pytest.mark.parametrize("door", DOORS)
def test_a_halt_survives_the_death_of_its_supervisor_at_every_step(door: str) -> None:
    world, _, answers = run_virtual(halted(door, None))
    assert world.is_kept
    assert len(answers) == 1
    assert world.steps is not None
    steps = world.steps
    assert steps >= 16
    unheard = 0
    for dies_at in range(1, steps + 1):
        world, was_heard, answers = run_virtual(halted(door, dies_at))
        if door == "channel" and not was_heard:  # a channel delivers at most once: as if it had not been sent
            unheard += 1
            assert (world.is_kept, world.entries) == (False, 1), dies_at
            continue
        assert world.is_kept, dies_at
        assert world.entries == 0, dies_at
        assert [data["action"] for data in answers if not data.get("repeated")] == ["HALT_ALL"], (dies_at, answers)
        assert world.server.hashes[channels.HALTS_AHEAD] == {}, dies_at
        for host in world.hosts.values():
            assert all(trader.state.halts for trader in host.floor.traders.values() if not trader.state.is_idle), dies_at
    assert unheard <= 2
