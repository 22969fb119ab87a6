"""A trader host that dies at a named point, and what its successor makes of what it left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, time
from typing import Any

import msgspec
import pytest

from actors.local_system import LocalSystem
from actors.placement import Placement, PlacementKind
from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import ForUser, SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime import channels
from runtime.errors import Fenced
from runtime.events import EventType, PauseSession, PublicEvent, ReportStatus, StartSession
from runtime.market import IST, Prices, Quote
from runtime.session import SessionConfig
from tests.builders import DAY, at, config, option, signal
from tests.faults.traders import STEADFAST

USER, HOST = "u1", "user-u1"
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class World:
    """What outlives a host: servers, and the commands that wait for it."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.bus, self.store, self.journal = MemoryBus(self.server), MemoryStore(), MemoryJournal()

    def host(self) -> TraderHost:
        return TraderHost(HOST, bus=MemoryBus(self.server), journal=self.journal, store=self.store, clock=VirtualClock(at("10:00")))

    @asynccontextmanager
    async def running(self):
        """A host that serves; dead, as abruptly as a process dies, on exit."""
        host = self.host()
        task = asyncio.create_task(host.run())
        await host.ready.wait()
        yield task
        await settle()
        task.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await task

    async def start(self, settings: SessionConfig | None = None) -> None:
        await self.store.upsert("sessions", {USER: {"active": True, "host": HOST}})
        await self.send(StartSession(ts=at("09:00"), command_id="start", config=settings or config()))

    async def send(self, event: Any) -> None:
        await self.bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=USER, input=event)), max_length=1_000)

    async def events(self) -> list[PublicEvent]:
        return [_decode_event(payload) for _, payload in await self.bus.read(channels.EVENTS_STREAM, "0", count=1_000)]


async def settle() -> None:
    """Let everything that can happen without time passing happen."""
    await asyncio.sleep(0.001)


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtual(test())  # pyright: ignore[reportArgumentType]

    run.__name__ = test.__name__
    return run


@in_virtual_time
async def test_a_host_that_dies_before_its_first_signal_does_not_lose_it() -> None:
    world = World()
    await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(clock="09:30"), closed_at_ns=0)), max_length=10)
    async with world.running():
        await world.start()
    newest = await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
    async with world.running():
        await world.bus.publish(channels.PRICES, encode(Prices(seq=1, ts=at("10:00"), quotes=(), signals_id=newest)))
    heard = [event.data["signal_id"] for event in await world.events() if event.type is EventType.SIGNAL]
    assert heard == ["s-100000-LONG"]


@in_virtual_time
async def test_an_answer_that_a_dying_host_did_not_keep_is_kept_by_its_successor() -> None:
    world = World()
    async with world.running():
        await world.start()
    kept = await world.store.get("commands", f"{USER}/start")
    assert kept is not None
    # As if it had died just after the journal was written: no outcome, no cursor.
    await world.store.delete("commands", f"{USER}/start")
    await world.bus.delete_key(f"shoal:cursor:{HOST}")
    async with world.running():
        await settle()
    assert await world.store.get("commands", f"{USER}/start") == kept
    answers = [event for event in await world.events() if event.data.get("command_id") == "start"]
    assert [(event.type, event.seq) for event in answers] == [(EventType.COMMAND_ACCEPTED, 1)]


@in_virtual_time
async def test_what_a_dying_host_had_published_but_not_projected_its_successor_projects() -> None:
    world = World()
    async with world.running():
        await world.start()
        await settle()
        newest = await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
        await world.bus.publish(channels.PRICES, encode(Prices(seq=1, ts=at("10:00"), quotes=(), signals_id=newest)))
    heard = await world.events()
    taken = f"{USER}:{signal().signal_id}"
    decision = await world.store.get("execution_logs", taken)
    orders = await world.store.find("orders", {})
    assert decision is not None
    assert len(orders) == 1
    # As if it had died between the two.
    await world.store.delete("execution_logs", taken)
    await world.store.delete("orders", orders[0]["_id"])
    await world.store.upsert("sessions", {USER: {"projected_seq": 2}})
    async with world.running():
        await settle()
    assert await world.store.get("execution_logs", taken) == decision
    assert await world.store.find("orders", {}) == orders
    assert (await world.events())[: len(heard)] == heard


@in_virtual_time
async def test_a_host_whose_namesake_has_taken_its_user_ends_and_says_nothing_more() -> None:
    world = World()
    async with world.running() as frozen:
        await world.start()
        await settle()
        async with world.running():  # the successor, while the first still lives
            await world.send(PauseSession(ts=at("10:00"), command_id="pause"))
            with pytest.raises(ExceptionGroup) as ended:
                await frozen
            assert ended.group_contains(Fenced)
    events = await world.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events if event.data.get("command_id") == "pause"] == [EventType.COMMAND_ACCEPTED]


@in_virtual_time
async def test_a_trader_that_fails_in_the_middle_of_a_fill_is_paused_and_its_host_goes_on() -> None:
    world = World()
    async with world.running() as host:
        # Commands would refuse this scale: the engine fails on it when the entry is filled.
        await world.start(msgspec.structs.replace(config(), fees="no such scale"))
        await settle()
        newest = await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
        quotes = (Quote(option().id, 100.0, 99.95, 100.0),)
        await world.bus.publish(channels.PRICES, encode(Prices(seq=1, ts=at("09:59"), quotes=quotes, signals_id="0")))
        await world.bus.publish(channels.PRICES, encode(Prices(seq=2, ts=at("10:00"), quotes=quotes, signals_id=newest)))
        await settle()
        await world.send(ReportStatus(ts=at("10:00"), command_id="alive"))
        await settle()
        assert not host.done()
    events = await world.events()
    assert [str(event.type) for event in events[2:]] == [
        "SIGNAL",
        "ORDER_SUBMITTED",
        "ORDER_ACCEPTED",
        "SESSION_PAUSED",
        "COMMAND_ACCEPTED",
    ]
    assert events[-2].data["reason"] == "internal error: InvalidConfig"
    numbers = [record.number async for record in world.journal.read(USER)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_host_that_was_away_when_the_platform_was_halted_closes_its_positions_as_the_operator_asked() -> None:
    market = SimulatedMarket(SimulationConfig(sessions=(DAY,), seed=7, ticks_per_second=1))

    async def run() -> list[PublicEvent]:
        async with LocalSystem(market, VirtualClock(datetime.combine(DAY, time(9, 14), IST)), packed_hosts=1) as system:

            async def script() -> None:
                host = system.placer.hosts["packed-0"]
                while not host.floor.traders["u0"].state.open_positions:
                    await system.clock.sleep(1)
                await system.placer.kill("packed-0")
                await system.send("HALT_ALL", data={"positions": "close"})
                await system.clock.sleep(10)
                await system.placer.ensure(Placement("packed-0", PlacementKind.PACKED))

            await system.send("START_TRADING", "u0", STEADFAST)
            await system.settle()
            system.spawn(script())
            await system.play()
            return await system.events("u0")

    events = run_virtual(run())
    [closed] = [event for event in events if event.type is EventType.POSITION_CLOSED]
    assert closed.data["exit_reason"] == "RISK_HALT"
    assert sum(event.type is EventType.POSITION_OPENED for event in events) == 1
