"""A user who is moved while the price crosses his stop, at every step of the move: one exit, never none, never two."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from actors.placement import Placement
from actors.supervisor import Supervisor
from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from adapters.vault import EncryptedVault, FixedKeys
from runtime import channels
from runtime.commands import Catalogue
from runtime.events import EventType, PublicEvent
from runtime.market import Prices, Quote
from runtime.orders import Leg, Order
from strategies import REGISTRY, create
from tests.builders import at, option, signal
from tests.faults.test_host_restart import settle
from tests.faults.traders import GUARDED

USER, OLD, NEW = "u1", "packed-0", "packed-1"
HIGH, LOW = 100.0, 70.0
"""Of the option bought at 100 with its stop at 80."""

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Stepping:
    """A port of which every call is a step: before it and after it anything may have happened in the world."""

    def __init__(self, port: Any, step: Callable[[], Awaitable[None]]) -> None:
        self._port, self._step = port, step

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(call):
            return call

        async def stepped(*arguments: Any, **named: Any) -> Any:
            await self._step()
            answer = await call(*arguments, **named)
            await self._step()
            return answer

        return stepped


class Nowhere:
    """A placer without processes: the hosts are the test's own."""

    async def ensure(self, placement: Placement) -> None: ...

    async def remove(self, host_id: str) -> None: ...


class World:
    """Two hosts and a supervisor. At step number `crossing` of the move the price falls through the stop, and recovers at once."""

    def __init__(self, crossing: int | None, *, slow: str = "") -> None:
        self.server, self.journal, self.store = MemoryServer(), MemoryJournal(), MemoryStore()
        self.bus = MemoryBus(self.server)
        self.crossing, self.slow = crossing, slow
        self.steps: int | None = None
        self.seq = 0
        self.signals_id = "0"
        self.ledger: list[tuple[str, Order]] = []
        """What each desk was given, in order."""
        clock = VirtualClock(at("10:00"))
        self.hosts = {host_id: self._host(host_id, clock) for host_id in (OLD, NEW)}
        self.supervisor = Supervisor(
            bus=Stepping(MemoryBus(self.server), self.step),  # pyright: ignore[reportArgumentType]
            store=Stepping(self.store, self.step),  # pyright: ignore[reportArgumentType]
            clock=clock,
            placer=Nowhere(),
            catalogue=Catalogue(strategies=frozenset(REGISTRY), create_strategy=create),
            vault=EncryptedVault(self.store, FixedKeys(bytes(32))),
            packed_hosts=2,
            dedicated_max=0,
        )
        self.tasks: list[asyncio.Task[None]] = []

    def _host(self, host_id: str, clock: VirtualClock) -> TraderHost:
        async def step() -> None:
            if self.slow == host_id and self.steps is not None:
                await asyncio.sleep(0.05)
            await self.step()

        bus, journal, store = (Stepping(port, step) for port in (MemoryBus(self.server), self.journal, self.store))
        host = TraderHost(host_id, bus=bus, journal=journal, store=store, clock=clock)  # pyright: ignore[reportArgumentType]
        submit = host.floor.desk.submit

        def recorded(order: Order, *arguments: Any, **named: Any) -> Any:
            self.ledger.append((host_id, order))
            return submit(order, *arguments, **named)

        host.floor.desk.submit = recorded  # pyright: ignore[reportAttributeAccessIssue]
        return host

    async def step(self) -> None:
        if self.steps is None:
            return
        self.steps += 1
        if self.steps == self.crossing:
            await self.price(LOW)
            await self.price(HIGH)

    async def price(self, price: float) -> None:
        self.seq += 1
        quote = Quote(option().id, price, price - 0.05, price)
        message = Prices(seq=self.seq, ts=at(f"10:00:{self.seq:02d}"), quotes=(quote,), signals_id=self.signals_id)
        await self.bus.publish(channels.PRICES, encode(message))

    async def send(self, action: str, **data: Any) -> None:
        message = {"action": action, "user_id": USER, "command_id": action, "data": data}
        await self.bus.append(channels.COMMANDS_STREAM, encode(message), max_length=1_000)

    async def start(self) -> None:
        for actor in (*self.hosts.values(), self.supervisor):
            self.tasks.append(asyncio.create_task(actor.run()))
            await actor.ready.wait()
        await self.send("START_TRADING", **GUARDED)
        await settle()
        await self.price(HIGH)
        self.signals_id = await self.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
        await self.price(HIGH)
        await settle()

    async def stop(self) -> None:
        for task in self.tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def events(self) -> list[PublicEvent]:
        return [_decode_event(payload) for _, payload in await self.bus.read(channels.EVENTS_STREAM, "0", count=1_000)]


async def moved(crossing: int | None, slow: str = "") -> tuple[World, list[PublicEvent]]:
    world = World(crossing, slow=slow)
    await world.start()
    world.steps = 0
    await world.send("MIGRATE_USER", to=NEW)
    await asyncio.sleep(12)  # far beyond the last step, repeats included
    if crossing is None:
        world.crossing = world.steps + 1  # so many steps there are; behind the last one
        await world.price(LOW)
    await asyncio.sleep(1)
    await world.stop()
    return world, await world.events()


def told(events: list[PublicEvent], *types: EventType) -> list[PublicEvent]:
    return [event for event in events if event.user_id == USER and event.type in types]


def test_a_moved_user_lives_on_the_new_host_alone_and_his_stop_works_there() -> None:
    world, events = run_virtual(moved(None))
    assert [USER in world.hosts[host_id].floor.traders for host_id in (OLD, NEW)] == [False, True]
    [answer] = [event for event in events if event.data.get("command_id") == "MIGRATE_USER"]
    assert (answer.type, answer.data["from"], answer.data["to"]) == (EventType.COMMAND_ACCEPTED, OLD, NEW)
    assert [event.data["epoch"] for event in told(events, EventType.SESSION_RECOVERED)] == [2]
    assert [(host_id, order.leg) for host_id, order in world.ledger] == [(OLD, Leg.ENTRY), (NEW, Leg.EXIT)]
    assert [event.seq for event in events if event.user_id == USER] == list(range(1, len(told(events, *EventType)) + 1))
    session = world.store._collections["sessions"][USER]
    assert (session["host"], world.store._collections["moves"]) == (NEW, {})


@pytest.mark.parametrize("slow", ["", OLD, NEW])
def test_the_stop_is_acted_on_once_at_whatever_step_of_the_move_the_price_crosses_it(slow: str) -> None:
    world, _ = run_virtual(moved(None, slow))
    assert world.crossing is not None
    assert world.crossing > 40
    by_host: set[str] = set()
    for crossing in range(1, world.crossing):
        world, events = run_virtual(moved(crossing, slow))
        closed = told(events, EventType.POSITION_CLOSED)
        exits = {order.order_id: host_id for host_id, order in world.ledger if order.leg is Leg.EXIT}
        assert [event.data["exit_reason"] for event in closed] == ["SL"], (crossing, [str(event.type) for event in events])
        assert len(exits) == 1, (crossing, world.ledger)
        assert [event.seq for event in events if event.user_id == USER] == list(range(1, len(told(events, *EventType)) + 1)), crossing
        by_host |= set(exits.values())
    # The crossings cover both sides of the handover; a host that lags behind has let go before it looks.
    assert by_host == ({NEW} if slow == OLD else {OLD, NEW})
