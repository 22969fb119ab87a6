"""The Upstox venue as a pair of servers on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from tests.venues.upstox import faults
from tests.venues.upstox.accounts import TokenKind
from tests.venues.upstox.clock import VenueClock
from tests.venues.upstox.control import Control
from tests.venues.upstox.core import Core
from tests.venues.upstox.gateway import Gateway
from tests.venues.upstox.ledger import Ledger
from tests.venues.upstox.rest import ROUTES
from tests.venues.upstox.settings import VenueSettings

HOST = "127.0.0.1"
_SKIPPED_PAUSE = timedelta(hours=1)


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the venue listens: `orders` is the vendor's order host, `control` the venue's own `/__sim__/`."""

    rest: str
    orders: str
    feed: str
    portfolio: str
    instruments: str
    control: str


class Faults:
    """Injects faults into a running venue."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, *wanted: faults.AnyFault) -> None:
        self._core.inject(wanted)

    @property
    def waiting(self) -> list[faults.CallFault]:
        """Those of calls that have not been used up."""
        return [planned.fault for planned in self._core.planned]


class UpstoxVenue:
    """An async context manager: the venue listens inside it. One event loop, no threads of its own."""

    def __init__(self, settings: VenueSettings | None = None, *, script: Iterable[faults.AnyFault] = (), port: int = 0) -> None:
        self.core = Core(settings or VenueSettings())
        self.core.inject(script)
        self.faults = Faults(self.core)
        self._port = port
        self._runners: list[web.AppRunner] = []
        self._urls: Urls | None = None
        self._asked, self._begun = asyncio.Event(), asyncio.Event()
        self._pacing: asyncio.Task[None] | None = None

    @property
    def urls(self) -> Urls:
        assert self._urls is not None, "the venue listens only inside its context"
        return self._urls

    @property
    def ledger(self) -> Ledger:
        return self.core.ledger

    @property
    def clock(self) -> VenueClock:
        return self.core.clock

    def token(self, user_id: str = "U1", kind: TokenKind = TokenKind.ACCESS) -> str:
        """The newest good token of a customer."""
        return self.core.accounts.tokens(self.core.accounts.by_id[user_id], kind, self.clock.now)[-1]

    def begin(self) -> None:
        """From now on time goes by the settings' `speed`, where it was held."""
        self._begun.set()

    async def advance(self, seconds: float) -> None:
        """Let so much venue time pass, and everything that happens in it go out on the sockets."""
        await self.advance_to(self.clock.later(seconds))

    async def advance_to(self, ts: datetime) -> None:
        self.clock.run_to(ts)
        for connection in [*self.core.feed.connections, *self.core.portfolio.connections]:
            await connection.drained()

    async def __aenter__(self) -> Self:
        split = self.core.settings.strict_hosts
        rest = Gateway(self.core, "rest", [route for route in ROUTES if not (split and route.hft)], self._asked.set)
        Control(self.core, self.advance_to, self.begin).add_to(rest.app)
        orders = Gateway(self.core, "orders", [route for route in ROUTES if route.hft], self._asked.set)
        rest_port = await self._listen(rest, self._port)
        orders_port = await self._listen(orders, self._port + 1 if self._port else 0)
        base, sockets = f"http://{HOST}:{rest_port}", f"ws://{HOST}:{rest_port}"
        self._urls = Urls(
            rest=base,
            orders=f"http://{HOST}:{orders_port}",
            feed=f"{sockets}/v3/feed/market-data-feed",
            portfolio=f"{sockets}/v2/feed/portfolio-stream-feed",
            instruments=f"{base}/market-quote/instruments/exchange/complete.json.gz",
            control=f"{base}/__sim__",
        )
        if self.core.settings.speed is not None:
            self._pacing = asyncio.create_task(self._pace(self.core.settings.speed))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.gather(self._pacing, return_exceptions=True)
        self.core.feed.close(1001)
        self.core.portfolio.close(1001)
        for runner in self._runners:
            await runner.cleanup()

    async def _listen(self, gateway: Gateway, port: int) -> int:
        runner = web.AppRunner(gateway.app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, port).start()
        return int(runner.addresses[0][1])

    async def _pace(self, speed: float) -> None:
        """Venue time runs from the first request on; a pause of more than an hour, such as a night, is not waited for."""
        await self._asked.wait()
        loop, clock = asyncio.get_running_loop(), self.clock
        wall, venue, until = loop.time(), clock.now, self.core.settings.until
        pace = 1.0 if self.core.settings.hold else speed
        while until is None or clock.now < until:
            if pace != speed and self._begun.is_set():
                wall, venue, pace = loop.time(), clock.now, speed
            event = clock.next_event() if until is None else min(clock.next_event(), until)
            if event - clock.now > _SKIPPED_PAUSE:
                wall, venue = loop.time(), event
            await asyncio.sleep(max(wall + (event - venue).total_seconds() / pace - loop.time(), 0.0))
            clock.run_to(event)
