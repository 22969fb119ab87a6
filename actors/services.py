"""How each actor is put together from settings and servers. The same in a Ray actor and in a test's own process.

Each imports what it runs itself: a host that was killed is back sooner without what only the supervisor or the market needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from actors.market_recorder import TicksKept
from actors.order_ledger import OrderLedger
from actors.placement import Placer
from actors.process import prepare_for_many
from actors.trader_host import TraderHost
from adapters.clock import WallClock
from adapters.local_log import LocalLog
from adapters.mongo import MongoJournal, MongoStore
from adapters.redis_bus import RedisBus
from configs.running import read_running
from runtime import channels
from runtime.market import Candle, InstrumentId

if TYPE_CHECKING:
    from adapters.simulated import SimulatedVenue, SimulationConfig

HISTORY = timedelta(days=10)
STORE_PATIENCE_SECONDS = 30.0
HOST_PATIENCE_SECONDS = 5.0
"""A host has exits to see to meanwhile."""
LOCAL_LOGS = "local-logs"
"""In the state folder of each machine: records of hosts that cannot reach the journal's store."""
DEFAULT_SESSION = date(2026, 11, 20)


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What every actor of a run is told. Holds no secret: URLs with passwords are read from `<state>/run.json` or the environment.

    `underlyings` are what the venue trades, all on the same `sessions`; `candles` names a file to replay of the first of them,
    without one the venue makes the days up from `seed`. `speed` is venue seconds per second, None for as fast as everybody follows.
    """

    state: str
    underlyings: tuple[InstrumentId, ...] = ("NSE:BANKNIFTY",)
    sessions: tuple[date, ...] = (DEFAULT_SESSION,)
    seed: int = 7
    candles: str | None = None
    speed: float | None = 1.0
    ticks_per_second: int = 2
    wait_for_begin: bool = False
    packed_hosts: int = 2
    dedicated_max: int = 16
    heartbeat: timedelta = timedelta(minutes=5)
    housekeeping: timedelta = timedelta(minutes=1)
    events_kept_max: int = 1_000_000
    journal_retention: timedelta = timedelta(days=400)
    ticks_kept: TicksKept = TicksKept.SERVED
    database: str = "shoal"
    profile: str = "paper"
    ledger: str | None = None
    """Folder in which each host notes the paper orders it accepts, apart from the journal; None: nowhere."""


Ready: TypeAlias = Callable[[], None]
Service: TypeAlias = Coroutine[Any, Any, None]


class Servers:
    """Bus, store and journal of a run, found through its state folder or the environment."""

    def __init__(self, spec: RunSpec, *, patience_seconds: float = STORE_PATIENCE_SECONDS) -> None:
        """`patience_seconds`: how long a call waits for the database."""
        running = read_running(Path(spec.state))
        patience = {"patience_seconds": patience_seconds}
        self.bus = RedisBus(running.redis_url, events_kept_max=spec.events_kept_max)
        self.store = MongoStore(running.mongodb_url, spec.database, **patience)
        self.journal = MongoJournal(running.mongodb_url, spec.database, retention=spec.journal_retention, **patience)

    async def prepare(self) -> None:
        """Collections, indexes and times to live; idempotent."""
        await self.store.prepare()
        await self.journal.prepare()

    async def close(self) -> None:
        await self.journal.close()
        await self.store.close()
        await self.bus.close()


async def serve_trader_host(spec: RunSpec, host_id: str, ready: Ready) -> None:
    from actors.live_services import live_desk, settings_of

    real_time = spec.speed is not None  # else the market waits for its hosts, and they for the store
    servers, clock = Servers(spec, patience_seconds=HOST_PATIENCE_SECONDS if real_time else STORE_PATIENCE_SECONDS), WallClock()
    live = live_desk(spec, servers, settings_of(spec), clock, host_id)
    host = TraderHost(
        host_id,
        bus=servers.bus,
        journal=servers.journal,
        store=servers.store,
        clock=clock,
        heartbeat=spec.heartbeat,
        housekeeping=spec.housekeeping,
        venue_speed=spec.speed,
        ledger=None if spec.ledger is None else OrderLedger(Path(spec.ledger) / f"{host_id}.jsonl"),
        live=None if live is None else live.desk,
        local_log=LocalLog(Path(spec.state) / LOCAL_LOGS, host_id) if real_time else None,
    )
    if live is not None:
        live.hosts.append(host)

    def restored() -> None:
        prepare_for_many()
        ready()

    await serve_until_ready(host.run(), host.ready.wait, restored)


async def serve_supervisor(spec: RunSpec, placer: Placer, ready: Ready) -> None:
    from actors.live_services import live_brokers, settings_of, vault_of
    from actors.supervisor import Supervisor
    from runtime.commands import Catalogue
    from strategies import REGISTRY, create

    servers, settings = Servers(spec), settings_of(spec)
    brokers = live_brokers(settings) | {"paper"}
    listed = frozenset(spec.underlyings) if settings.feed == "upstox" else build_venue(spec).listed()
    supervisor = Supervisor(
        bus=servers.bus,
        store=servers.store,
        clock=WallClock(),
        placer=placer,
        catalogue=Catalogue(
            strategies=frozenset(REGISTRY), create_strategy=create, brokers=brokers, instruments=listed, native_stops=brokers
        ),
        vault=vault_of(spec, servers),
        packed_hosts=spec.packed_hosts,
        dedicated_max=spec.dedicated_max,
    )
    await serve_until_ready(supervisor.run(), supervisor.ready.wait, ready)


async def serve_market_data(spec: RunSpec, ready: Ready) -> None:
    from actors.live_services import serve_upstox_market_data, settings_of
    from actors.market_data import MarketData
    from actors.market_progress import MarketProgress

    if settings_of(spec).feed == "upstox":
        await serve_upstox_market_data(spec, ready)
        return
    from adapters.simulated import FreePacer, ScaledPacer, SimulatedFeed, SimulatedInstrumentMaster
    from runtime.signal_engine import SignalEngine
    from strategies import create

    servers, clock, venue = Servers(spec), WallClock(), build_venue(spec)
    progress = await servers.bus.get_key(channels.CLOCK)
    resume_from = None if progress is None else msgspec.json.decode(progress, type=MarketProgress).ts
    pacer = FreePacer() if spec.speed is None else ScaledPacer(clock, spec.speed)
    feed = SimulatedFeed(venue, pacer, resume_from=resume_from)
    market_data = MarketData(
        bus=servers.bus,
        store=servers.store,
        clock=clock,
        feed=feed,
        master=SimulatedInstrumentMaster(venue, feed.now),
        calendar_of=venue.calendar_of,
        signals=SignalEngine(create),
        underlyings=spec.underlyings,
        starts_at=feed.now(),
        lockstep=spec.speed is None,
        wait_for_begin=spec.wait_for_begin,
        ticks_kept=spec.ticks_kept,
    )
    await serve_until_ready(market_data.run(), market_data.ready.wait, ready)


async def serve_option_chain(spec: RunSpec, ready: Ready) -> None:
    from actors.live_services import serve_upstox_option_chain, settings_of
    from actors.option_chain import OptionChainPoller
    from adapters.simulated import SimulatedOptionChainSource

    if settings_of(spec).feed == "upstox":
        await serve_upstox_option_chain(spec, ready)
        return
    servers, venue = Servers(spec), build_venue(spec)
    opens_at = venue.opens_at()
    source = SimulatedOptionChainSource(venue, lambda: poller.venue_time or opens_at)
    poller = OptionChainPoller(bus=servers.bus, store=servers.store, source=source, underlyings=venue.with_options())
    await serve_until_ready(poller.run(), poller.ready.wait, ready)


def build_venue(spec: RunSpec) -> SimulatedVenue:
    """The simulated venue of this run: the same in every process that builds it, being a function of the spec alone."""
    from adapters.simulated import SimulatedMarket, SimulatedVenue, simulation
    from configs.calendar import load_calendar

    def config(underlying: InstrumentId) -> SimulationConfig:
        made_up = simulation(underlying, sessions=spec.sessions, seed=spec.seed, ticks_per_second=spec.ticks_per_second)
        candles = candles_for(spec) if underlying == spec.underlyings[0] else None
        if candles is None:
            return made_up
        return msgspec.structs.replace(made_up, candles=candles, special_sessions={day: load_calendar().times(day) for day in candles})

    return SimulatedVenue(*(SimulatedMarket(config(underlying)) for underlying in spec.underlyings))


def candles_for(spec: RunSpec) -> dict[date, list[Candle]] | None:
    if spec.candles is None:
        return None
    from adapters.candle_files import read_candles
    from configs.calendar import load_calendar

    first, last = min(spec.sessions) - HISTORY, max(spec.sessions)
    return read_candles(spec.candles, spec.underlyings[0], start=first, end=last, calendar=load_calendar()).days


async def serve_until_ready(run: Service, became_ready: Callable[[], Awaitable[object]], ready: Ready) -> None:
    task = asyncio.create_task(run)
    waiting = asyncio.ensure_future(became_ready())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        ready()
    else:
        waiting.cancel()
    await task
