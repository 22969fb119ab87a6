"""Several market-data actors at once, dying and waking at the wrong moments: every decision is executed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, time
from typing import Any

import pytest

from actors.market_data import MarketData
from actors.wire import SetStrategies, decode_signal, encode
from adapters.clock import WallClock
from adapters.memory import MemoryBus, MemoryServer, MemoryStore
from adapters.simulated import SimulatedFeed, SimulatedInstrumentMaster, SimulatedMarket, SimulationConfig
from runtime import channels
from runtime.errors import LeaseLost, ServerUnavailable
from runtime.market import IST
from runtime.ports import Bus, Store
from runtime.signal_engine import SignalEngine, StrategySpec
from strategies import create
from tests.conftest import BusFactory

SESSION = date(2026, 11, 20)
SHORT = {SESSION: ((time(9, 15), time(10, 0)),)}
MARKET = SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=3, ticks_per_second=1, seconds_per_tick=15, special_sessions=SHORT))
SPECS = (StrategySpec(strategy="ema_cross", instrument="NSE:BANKNIFTY26NOVFUT", parameters={"fast_period": 2, "slow_period": 5}),)
LONG = 3600.0


class Gate:
    """A pacer that lets venue time pass up to `upto`, then holds the market until it is opened further."""

    def __init__(self, upto: str) -> None:
        self._upto = datetime.combine(SESSION, time.fromisoformat(upto), IST)
        self._moved = asyncio.Event()
        self.reached = asyncio.Event()

    async def wait_until(self, ts: datetime) -> None:
        await asyncio.sleep(0)
        while ts > self._upto:
            self.reached.set()
            await self._moved.wait()
            self._moved.clear()

    def open(self, upto: str = "16:00") -> None:
        self._upto = datetime.combine(SESSION, time.fromisoformat(upto), IST)
        self.reached.clear()
        self._moved.set()


@pytest.fixture(params=["memory", "servers"])
def places(request: pytest.FixtureRequest) -> tuple[BusFactory, Store]:
    """A bus and a store, both in memory or both on real servers."""
    if request.param == "servers":
        return request.getfixturevalue("redis_buses"), request.getfixturevalue("mongo_store")
    server = MemoryServer()
    return (lambda: MemoryBus(server)), MemoryStore()


async def market_data(bus: Bus, store: Store, gate: Gate, *, by_force: bool = True, lease_seconds: float = LONG) -> MarketData:
    if not await bus.read(channels.MARKET_CONTROL, "0"):
        await bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=SPECS)), max_length=10)
    feed = SimulatedFeed(MARKET, gate)
    return MarketData(
        bus=bus,
        store=store,
        clock=WallClock(),
        feed=feed,
        master=SimulatedInstrumentMaster(MARKET),
        calendar_of=lambda _: MARKET.calendar,
        signals=SignalEngine(create),
        underlyings=["NSE:BANKNIFTY"],
        starts_at=feed.now(),
        by_force=by_force,
        lease_seconds=lease_seconds,
    )


@asynccontextmanager
async def running(actor: MarketData) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(actor.run())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def reaches(gate: Gate, actor: asyncio.Task[None]) -> None:
    """Return when the market stands at the gate; raises what ended the actor before."""
    reaching = asyncio.create_task(gate.reached.wait())
    await asyncio.wait([reaching, actor], return_when=asyncio.FIRST_COMPLETED)
    if not reaching.done():
        reaching.cancel()
        actor.result()


async def sent(bus: Bus) -> list[str]:
    return [decode_signal(payload).signal.signal_id for _, payload in await bus.read(channels.SIGNALS, "0", count=1000)]


@pytest.fixture(scope="module")
def undisturbed() -> list[str]:
    """The signals of the day when nothing happens to anybody."""

    async def play() -> list[str]:
        bus = MemoryBus()
        await (await market_data(bus, MemoryStore(), Gate("16:00"))).run()
        return await sent(bus)

    ids = asyncio.run(play())
    assert len(ids) == len(set(ids)) > 40
    return ids


async def executions(store: Store) -> dict[str, str]:
    return {str(document["_id"]): str(document["state"]) for document in await store.find("executions", {})}


async def test_of_two_that_run_one_speaks_and_the_other_goes_on_when_it_dies(
    places: tuple[BusFactory, Store], undisturbed: list[str]
) -> None:
    buses, store = places
    first_gate, bus = Gate("09:40"), buses()
    first = await market_data(bus, store, first_gate)
    standby = await market_data(buses(), store, Gate("16:00"), by_force=False, lease_seconds=0.3)
    async with running(first) as speaking, running(standby) as waiting:
        await reaches(first_gate, speaking)
        before = await sent(bus)
        assert before == undisturbed[: len(before)]
        assert not standby.ready.is_set()

        speaking.cancel()  # dead: it gives nothing back
        await bus.delete_key(channels.MARKET_LEASE)  # as if an hour had passed
        await waiting

    assert await sent(bus) == undisturbed
    assert await executions(store) == dict.fromkeys(undisturbed, "published")


async def test_one_that_wakes_after_another_has_taken_over_is_refused(places: tuple[BusFactory, Store], undisturbed: list[str]) -> None:
    buses, store = places
    frozen_gate, successor_gate, bus = Gate("09:40"), Gate("09:40"), buses()
    async with running(await market_data(buses(), store, frozen_gate)) as frozen:
        await reaches(frozen_gate, frozen)
        async with running(await market_data(bus, store, successor_gate)) as succeeding:
            await reaches(successor_gate, succeeding)
            before = await sent(bus)

            frozen_gate.open()
            with pytest.raises(ExceptionGroup) as caught:
                await frozen
            assert caught.value.subgroup(LeaseLost) is not None
            assert await sent(bus) == before
            assert list((await executions(store)).values()).count("decided") == 1  # what it decided before it was told

            successor_gate.open()
            await succeeding

    assert await sent(bus) == undisturbed
    assert await executions(store) == dict.fromkeys(undisturbed, "published")


class Killed(Exception):
    """The process dies here."""


def dying(call: Callable[..., Awaitable[Any]], *, at: int, after: bool) -> Callable[..., Awaitable[Any]]:
    """The same call, but its `at`-th use kills the caller, before or after it has taken effect."""
    uses = 0

    async def use(*arguments: Any, **options: Any) -> Any:
        nonlocal uses
        uses += 1
        if uses == at and not after:
            raise Killed
        answer = await call(*arguments, **options)
        if uses == at:
            raise Killed
        return answer

    return use


@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "before that is noted"])
async def test_one_that_dies_in_the_middle_of_a_decision_is_finished_by_its_successor(
    places: tuple[BusFactory, Store], undisturbed: list[str], after: bool
) -> None:
    buses, store = places
    bus, successor_bus = buses(), buses()
    bus.append_under = dying(bus.append_under, at=20, after=after)  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as caught:
        await (await market_data(bus, store, Gate("16:00"))).run()
    assert caught.value.subgroup(Killed) is not None
    assert await sent(successor_bus) == undisturbed[: 20 if after else 19]
    assert (await executions(store))[undisturbed[19]] == "decided"

    await (await market_data(successor_bus, store, Gate("16:00"))).run()

    assert await sent(successor_bus) == undisturbed
    assert await executions(store) == dict.fromkeys(undisturbed, "published")


async def test_a_signal_waits_by_itself_while_the_store_is_away_and_prices_go_on(undisturbed: list[str]) -> None:
    bus, store = MemoryBus(), MemoryStore()
    insert, away = store.insert_once, True

    async def insert_once(collection: str, key: str, document: Any) -> bool:
        if away:
            raise ServerUnavailable("no answer")
        return await insert(collection, key, document)

    store.insert_once = insert_once  # type: ignore[method-assign]
    gate = Gate("09:40")
    async with running(await market_data(bus, store, gate)) as task:
        await reaches(gate, task)
        assert await sent(bus) == []
        assert await bus.get_key(channels.CLOCK) is not None

        away = False
        while len(await sent(bus)) < 20:
            await bus.read(channels.SIGNALS, "$", block_seconds=30)
        gate.open()
        await task
    assert sorted(await sent(bus)) == sorted(undisturbed)
