"""How the actors are put together where market data and orders are Upstox's. The same services, other adapters."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loguru import logger

from actors.broker_session import sessions_of
from actors.brokerage import UPSTOX, Brokerage, endpoints, epoch_check
from actors.instruments import todays_table
from actors.live_desk import LiveDesk
from actors.order_messages import OrderMessages
from adapters.clock import WallClock
from adapters.vault import EncryptedVault, KeyFile
from configs.accounts import UpstoxSettings
from configs.settings import Profile, Settings, load_settings
from runtime.errors import BrokerUnavailable, InvalidInput
from runtime.market import IST
from runtime.ports import Clock

if TYPE_CHECKING:
    from actors.services import Ready, RunSpec, Servers
    from actors.trader_host import TraderHost
    from adapters.upstox import UpstoxClient
    from adapters.upstox.instruments import InstrumentTable

VAULT_KEY = "vault.key"
CLOCK_KEY = "NSE_INDEX|Nifty Bank"
"""Whose quote is asked for the venue's time."""
RETRY_SECONDS = 2.0


def settings_of(spec: RunSpec) -> Settings:
    return load_settings(Profile(spec.profile))


def vault_of(spec: RunSpec, servers: Servers) -> EncryptedVault:
    return EncryptedVault(servers.store, KeyFile(Path(spec.state) / VAULT_KEY))


def check_packages(spec: RunSpec) -> None:
    """Whether what the actors will import is there. Raises `AdapterUnavailable`: one line now, not an actor that cannot start."""
    if settings_of(spec).feed == UPSTOX:
        from adapters.upstox.messages import feed_response

        feed_response()


def live_brokers(settings: Settings) -> frozenset[str]:
    return frozenset() if settings.upstox is None else frozenset({UPSTOX})


class DeskOfHost(NamedTuple):
    """The host is put into `hosts` once it is there: its quotes price market orders."""

    desk: LiveDesk
    hosts: list[TraderHost]


def live_desk(spec: RunSpec, servers: Servers, settings: Settings, clock: Clock, host_id: str) -> DeskOfHost | None:
    """None where no live broker is set up."""
    if settings.upstox is None:
        return None
    hosts: list[TraderHost] = []
    brokerage = Brokerage(
        vault_of(spec, servers),
        servers.store,
        upstox=settings.upstox,
        accounts=settings.accounts,
        now=lambda: desk.now(),  # noqa: PLW0108 - the desk comes after its brokerage
        quote=lambda name: hosts[0].floor.desk.quote(name) if hosts else None,
        messages=OrderMessages(servers.store, clock, lambda: desk.now()),  # noqa: PLW0108 - as above
    )
    desk = LiveDesk(brokerage, clock, epoch_check(servers.store), sessions_of(servers.bus, clock, host_id))
    return DeskOfHost(desk, hosts)


class UpstoxMarket:
    """What feed and chain share: the read-only token out of the vault, the venue's clock, the day's instruments."""

    def __init__(self, client: UpstoxClient, clock: Clock, table: InstrumentTable, vault: EncryptedVault, settings: UpstoxSettings) -> None:
        self.client, self.clock, self.table = client, clock, table
        self._vault, self._settings = vault, settings

    @classmethod
    async def open(cls, spec: RunSpec, servers: Servers, settings: UpstoxSettings, ready: Ready) -> UpstoxMarket:
        """Waits for a token in the vault and for the venue, however long it takes, but lets nobody else wait: a system without a
        token comes up, so that one can be handed over.
        """
        from adapters.upstox import AccessToken, UpstoxClient

        vault = vault_of(spec, servers)
        while True:
            try:
                client = UpstoxClient(AccessToken(await vault.get(settings.credentials)), endpoints(settings))
                clock = await venue_clock(client, settings, spec.speed)
                today = clock.now().astimezone(IST).date()
                table = await todays_table(servers.store, UPSTOX, client, today, own_day=settings.time == "quotes")
            except (InvalidInput, BrokerUnavailable) as error:
                logger.warning("market data waits: {}", error)
                ready()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return cls(client, clock, table, vault, settings)

    async def keep_token(self) -> None:
        """The operator's hook: after a refused token the vault is looked at until it holds another one."""
        refused = ""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self.client.token.is_valid:
                continue
            try:
                secret = await self._vault.get(self._settings.credentials)
            except InvalidInput as error:
                logger.warning("market data has no token: {}", error)
                continue
            if secret != refused:  # the one that was refused is tried once more at most
                refused = secret
                self.client.token.renew(secret)


async def venue_clock(client: UpstoxClient, settings: UpstoxSettings, speed: float | None) -> Clock:
    """Of this machine, or of a venue which plays a day of its own. Raises `BrokerUnavailable`."""
    if settings.time == "wall":
        return WallClock()
    from adapters.upstox.quote_clock import QuoteClock

    return await QuoteClock.read(client, CLOCK_KEY, speed or 1.0)


async def serve_upstox_market_data(spec: RunSpec, ready: Ready) -> None:
    """One feed with one token for all users; holidays and special sessions as the vendor publishes them."""
    from actors.market_data import MarketData
    from actors.services import Servers, serve_until_ready
    from adapters.feeds.upstox import UpstoxFeed
    from adapters.instruments.stored import StoredInstrumentMaster
    from adapters.upstox.sessions import read_sessions
    from configs.calendar import load_calendar
    from runtime.signal_engine import SignalEngine
    from strategies import create

    servers, settings = Servers(spec), settings_of(spec)
    upstox = settings.upstox or UpstoxSettings()
    market = await UpstoxMarket.open(spec, servers, upstox, ready)
    feed = UpstoxFeed(market.client, market.table, market.clock, stale_seconds=upstox.stale_seconds, venue_speed=spec.speed)
    calendar = load_calendar().extended(await read_sessions(market.client))
    market_data = MarketData(
        bus=servers.bus,
        store=servers.store,
        clock=market.clock,
        feed=feed,
        master=StoredInstrumentMaster(servers.store, feed.now),
        calendar_of=lambda _: calendar,
        signals=SignalEngine(create),
        underlyings=spec.underlyings,
        wait_for_begin=spec.wait_for_begin,
    )
    keeper = asyncio.create_task(market.keep_token())
    try:
        await serve_until_ready(market_data.run(), market_data.ready.wait, ready)
    finally:
        keeper.cancel()


async def serve_upstox_option_chain(spec: RunSpec, ready: Ready) -> None:
    from actors.option_chain import OptionChainPoller
    from actors.services import Servers, serve_until_ready
    from adapters.option_chains.upstox import UpstoxOptionChainSource

    servers, settings = Servers(spec), settings_of(spec)
    market = await UpstoxMarket.open(spec, servers, settings.upstox or UpstoxSettings(), ready)
    source = UpstoxOptionChainSource(market.client, market.table, market.clock.now)
    poller = OptionChainPoller(bus=servers.bus, store=servers.store, source=source, underlyings=spec.underlyings)
    keeper = asyncio.create_task(market.keep_token())
    try:
        await serve_until_ready(poller.run(), poller.ready.wait, ready)
    finally:
        keeper.cancel()
