"""The whole system in one process and one event loop: memory adapters, the simulated venue, no Ray.

Under `virtual_time.run_virtual` a trading day takes about a second and the same seed gives the same trace: most scenario
tests run here. It holds the same actors as a cluster, over the same ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any, Self

import msgspec

from actors.market_data import MarketData
from actors.option_chain import OptionChainPoller
from actors.placement import Placement, PlacementKind
from actors.supervisor import Supervisor
from actors.trader_host import TraderHost
from actors.wire import BeginSession, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryStore
from adapters.simulated import (
    ScaledPacer,
    SimulatedFeed,
    SimulatedInstrumentMaster,
    SimulatedMarket,
    SimulatedOptionChainSource,
    SimulatedVenue,
    as_venue,
)
from adapters.vault import EncryptedVault, FixedKeys
from runtime import channels
from runtime.commands import Catalogue
from runtime.events import PublicEvent
from runtime.ports import Clock
from runtime.signal_engine import SignalEngine
from strategies import REGISTRY, create

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class LocalPlacer:
    """Hosts as tasks of this loop; `kill` ends one as abruptly as a process dies, `ensure` brings it back."""

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        self.hosts: dict[str, TraderHost] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, placement: Placement) -> None:
        if placement.host_id not in self.hosts:
            system = self._system
            host = TraderHost(
                placement.host_id, bus=system.bus, journal=system.journal, store=system.store, clock=system.clock, venue_speed=1.0
            )
            self.hosts[placement.host_id] = host
            task = self._tasks[placement.host_id] = asyncio.create_task(host.run())
            task.add_done_callback(self._system.check)
            await host.ready.wait()

    async def restart(self, host_id: str) -> None:
        await self.kill(host_id)
        await self.ensure(Placement(host_id, PlacementKind.PACKED))

    async def remove(self, host_id: str) -> None:
        await self.kill(host_id)

    async def kill(self, host_id: str) -> None:
        task = self._tasks.pop(host_id, None)
        del self.hosts[host_id]
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


class LocalSystem:
    """`async with LocalSystem(market, clock) as system`: everything runs; `play` lets the market move until its feed ends."""

    def __init__(self, market: SimulatedMarket | SimulatedVenue, clock: Clock, *, packed_hosts: int = 2, dedicated_max: int = 0) -> None:
        self.clock = clock
        self.bus, self.journal, self.store = MemoryBus(), MemoryJournal(), MemoryStore()
        self.vault = EncryptedVault(self.store, FixedKeys(bytes(32)))
        self.placer = LocalPlacer(self)
        self._venue = venue = as_venue(market)
        self.master = SimulatedInstrumentMaster(venue)
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: list[BaseException] = []
        self.chain_poller = OptionChainPoller(
            bus=self.bus,
            store=self.store,
            source=SimulatedOptionChainSource(venue, self._venue_time),
            underlyings=venue.with_options(),
        )
        self.supervisor = Supervisor(
            bus=self.bus,
            store=self.store,
            clock=clock,
            placer=self.placer,
            catalogue=Catalogue(strategies=frozenset(REGISTRY), create_strategy=create, instruments=venue.listed()),
            vault=self.vault,
            packed_hosts=packed_hosts,
            dedicated_max=dedicated_max,
        )
        self.market_data: MarketData | None = None
        self._market_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._start(self.chain_poller)
        await self._start(self.supervisor)
        feed = SimulatedFeed(self._venue, ScaledPacer(self.clock, 1.0))
        self.market_data = MarketData(
            bus=self.bus,
            store=self.store,
            clock=self.clock,
            feed=feed,
            master=self.master,
            calendar_of=self._venue.calendar_of,
            signals=SignalEngine(create),
            underlyings=self._venue.underlyings,
            starts_at=feed.now(),
            wait_for_begin=True,
            lease_seconds=60.0,  # nobody else is there to take it
        )
        self._market_task = await self._start(self.market_data)
        return self

    async def __aexit__(self, *_: object) -> None:
        for host_id in list(self.placer.hosts):
            await self.placer.kill(host_id)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, action: str, user_id: str | None = None, data: Mapping[str, Any] | None = None, **more: Any) -> None:
        """As an outside program would, on the stream."""
        message = {"action": action, "user_id": user_id, "data": data or {}} | more
        await self.bus.append(channels.COMMANDS_STREAM, msgspec.json.encode(message), max_length=100_000)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a script beside the market; it ends with the system."""
        task = asyncio.create_task(work)
        task.add_done_callback(self.check)
        self._tasks.append(task)

    async def until(self, ts: datetime) -> None:
        await self.clock.sleep((ts - self.clock.now()).total_seconds())

    async def settle(self) -> None:
        """Let everything that can happen without time passing happen."""
        await asyncio.sleep(0.001)

    async def begin(self) -> None:
        """Let the market start to move."""
        await self.bus.append(channels.MARKET_CONTROL, encode(BeginSession()), max_length=1_000)

    async def kill_market_data(self) -> None:
        if self._market_task is not None:
            self._market_task.cancel()
            await asyncio.wait([self._market_task])

    async def play(self) -> None:
        """Run the market from here to the end of its last session."""
        if self.market_data is None:
            raise RuntimeError("enter the system first")
        await self.begin()
        await self.market_data.finished.wait()
        if self._failed:
            raise self._failed[0]
        await self.settle()

    async def events(self, user_id: str | None = None) -> list[PublicEvent]:
        """Everything published so far, of one user or of all."""
        entries = await self.bus.read(channels.EVENTS_STREAM, "0", count=1_000_000)
        events = [_decode_event(payload) for _, payload in entries]
        return [event for event in events if user_id in {None, event.user_id}]

    async def _start(self, actor: OptionChainPoller | Supervisor | MarketData) -> asyncio.Task[None]:
        task = asyncio.create_task(actor.run())
        task.add_done_callback(self.check)
        self._tasks.append(task)
        await actor.ready.wait()
        return task

    def check(self, task: asyncio.Task[None]) -> None:
        """An actor that failed fails the whole run: there is no Ray here to start it again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.append(error)
            if self.market_data is not None:
                self.market_data.finished.set()

    def _venue_time(self) -> datetime:
        return self.chain_poller.venue_time or self.clock.now()
