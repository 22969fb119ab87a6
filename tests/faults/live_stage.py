"""A host that trades live at the local Upstox: real sockets, the real adapter, memory servers; the venue's ledger is the oracle."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import msgspec

from actors.broker_session import sessions_of
from actors.brokerage import Brokerage, epoch_check
from actors.live_desk import LiveDesk
from actors.order_messages import OrderMessages
from actors.trader_host import TraderHost
from actors.wire import ForUser, SignalMessage, encode
from adapters.clock import WallClock
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from adapters.vault import EncryptedVault, FixedKeys
from configs.accounts import AccountEntry, UpstoxSettings
from runtime import channels
from runtime.events import EngineInput, PublicEvent, SquareOff, StartSession
from runtime.market import Instrument, Prices, Quote, Right
from runtime.session import ExternalPositions, Level, LevelUnit, Mode, Protection, RiskLimits, Sizing, Subscription
from runtime.signals import OrderSide, Side
from tests.builders import ONE_LOT, config, signal
from tests.faults.exposure import ExposureMeter
from tests.venues.upstox import UpstoxVenue, simple
from tests.venues.upstox.ledger import Entry, Happened

HOST = "packed-0"
PATIENCE_SECONDS = 60.0
TICK_SECONDS, STALL_SECONDS, PRICES_SECONDS = 0.02, 0.25, 0.2
_decode_event = msgspec.json.Decoder(PublicEvent).decode

Predicate = Callable[[], Awaitable[bool]]


class LiveStage:
    """`async with LiveStage(users) as stage`: a venue at 10:00, a host with `users` who trade live. Time moves by `play` only.

    With `real_time` it moves by itself, a second a second, and `exposure` measures all the time how long positions have no exit.
    """

    def __init__(
        self,
        users: int = 1,
        *,
        risk: RiskLimits | None = None,
        protection: Protection | None = None,
        sizing: Sizing = ONE_LOT,
        funds: Decimal = Decimal(1_000_000),
        real_time: bool = False,
        **account: Any,
    ) -> None:
        self.users = [f"U{number}" for number in range(1, users + 1)]
        settings = simple(users=users)
        accounts = tuple(msgspec.structs.replace(account, funds=funds) for account in settings.accounts)
        self.venue = UpstoxVenue(msgspec.structs.replace(settings, accounts=accounts, rate_limits=False))
        self.exposure = ExposureMeter(self.venue.ledger, lambda: self.venue.clock.now, self.watched)
        self._real_time, self._sizing = real_time, sizing
        self._clockwork: asyncio.Task[None] | None = None
        self.server = MemoryServer()
        self.bus, self.store, self.journal = MemoryBus(self.server), MemoryStore(), MemoryJournal()
        self.vault = EncryptedVault(self.store, FixedKeys(bytes(32)))
        self.host: TraderHost | None = None
        self._host_task: asyncio.Task[None] | None = None
        self._risk = risk or RiskLimits(max_notional=Decimal(10_000_000), external_positions=ExternalPositions.PROTECT)
        self._protection = protection or Protection(
            stop=Level(value=Decimal(30), unit=LevelUnit.PERCENT), target=Level(value=Decimal(60), unit=LevelUnit.PERCENT)
        )
        self._account = AccountEntry(**({"visibility_seconds": 2.0, "reprice_seconds": 0.5, "answer_seconds": 1.0} | account))
        self._seq, self._signals, self._signals_id = 0, 0, "0"
        self._commands = 0

    async def __aenter__(self) -> Self:
        await self.venue.__aenter__()
        await self.venue.advance(45 * 60)
        for user in self.users:
            await self.vault.put(user, "upstox", self.venue.token(user))
        if self._real_time:
            self._clockwork = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.kill()
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.wait([self._clockwork])
        await self.venue.__aexit__(kind, error, trace)

    # --- the runtime ---

    async def start_host(self) -> None:
        """A process of this name begins, be it the first or a successor."""
        self.host = self.new_host(HOST)
        await self.publish_prices()
        self._host_task = asyncio.create_task(self.host.run())
        await self.host.ready.wait()

    def new_host(self, host_id: str) -> TraderHost:
        urls = self.venue.urls
        settings = UpstoxSettings(api=urls.rest, orders=urls.orders, feed=urls.feed, portfolio=urls.portfolio, instruments=urls.instruments)
        accounts = dict.fromkeys(self.users, self._account)
        brokerage = Brokerage(
            self.vault,
            self.store,
            upstox=settings,
            accounts=accounts,
            now=lambda: self.venue.clock.now,
            quote=self._quote,
            messages=OrderMessages(self.store, WallClock(), lambda: self.venue.clock.now),
        )
        bus, clock = MemoryBus(self.server), WallClock()
        desk = LiveDesk(brokerage, clock, epoch_check(self.store), sessions_of(bus, clock, host_id))
        return TraderHost(host_id, bus=bus, journal=self.journal, store=self.store, clock=clock, live=desk, venue_speed=None)

    async def kill(self) -> None:
        """As abruptly as a task can die: nothing is said and nothing is cleaned up at the broker."""
        if self._host_task is not None:
            self._host_task.cancel()
            await asyncio.wait([self._host_task])
            self._host_task = None

    async def start_sessions(self) -> None:
        for user in self.users:
            subscription = Subscription(protection=self._protection, sizing=self._sizing)
            settings = config(
                mode=Mode.LIVE,
                broker="upstox",
                credentials=f"{user}/upstox",
                live_confirmed=True,
                risk=self._risk,
                protection=self._protection,
            )
            settings = msgspec.structs.replace(settings, subscriptions=(subscription,))
            await self.store.upsert("sessions", {user: {"active": True, "host": HOST}})
            await self.command(user, StartSession(ts=self.venue.clock.now, command_id=f"start-{user}", config=settings))
        await self.until(lambda: self.said_by_all("BROKER_UP", or_armed=True))

    async def command(self, user: str, event: EngineInput) -> None:
        await self.bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=user, input=event)), max_length=1_000)

    async def square_off(self, user: str = "U1") -> None:
        """Returns when the host has taken the command."""
        self._commands += 1
        command_id = f"flat-{self._commands}"
        await self.command(user, SquareOff(ts=self.venue.clock.now, command_id=command_id))

        async def taken() -> bool:
            return any(event.data["command_id"] == command_id for event in await self.said("COMMAND_ACCEPTED"))

        await self.until(taken)

    async def signal(self, side: Side = Side.LONG, right: Right = Right.CALL) -> None:
        """One signal for everybody: buy the option at the money."""
        self._signals += 1
        contract = self.contract(right)
        quote = self.venue.core.market.quote(self.venue.core.listing.of(contract.id), self.venue.clock.now)
        assert quote is not None
        what = signal(
            side,
            ts=self.venue.clock.now,
            signal_id=f"s{self._signals}",
            instrument=contract,
            entry_side=OrderSide.BUY,
            contract_price=quote.price,
            contract_bid=quote.bid,
            contract_ask=quote.ask,
            stop=quote.price * 0.7,
            target=quote.price * 1.6,
        )
        self._signals_id = await self.bus.append(channels.SIGNALS, encode(SignalMessage(signal=what, closed_at_ns=0)), max_length=100)
        await self.publish_prices()

    # --- the market ---

    def contract(self, right: Right = Right.CALL) -> Instrument:
        """At the money now, of the nearest expiry."""
        core = self.venue.core
        index = core.listing.of("NSE:BANKNIFTY")
        spot = core.market.quote(index, self.venue.clock.now)
        assert spot is not None
        rows = [row for row in core.listing.contracts(index.key) if row.instrument.right is right]
        nearest = min(row.instrument.expiry for row in rows if row.instrument.expiry)
        near = [row for row in rows if row.instrument.expiry == nearest]
        return min(near, key=lambda row: abs((row.instrument.strike or 0) - spot.price)).instrument

    async def _tick(self) -> None:
        """The venue's clock goes with this machine's; the host hears its prices, and the meter looks.

        A moment in which this process gets no processor at all counts as a quarter of a second: it says nothing of the host.
        """
        loop = asyncio.get_running_loop()
        before, due = loop.time(), self.venue.clock.now
        while True:
            await asyncio.sleep(TICK_SECONDS)
            passed, before = loop.time() - before, loop.time()
            await self.venue.advance(min(passed, STALL_SECONDS))
            self.exposure.look()
            if self.venue.clock.now >= due:
                due = self.venue.clock.later(PRICES_SECONDS)
                await self.publish_prices()

    async def play(self, seconds: float = 1.0) -> None:
        """Let venue time pass in steps of a second; the host hears the prices of each."""
        if self._real_time:
            await asyncio.sleep(seconds)
            return
        for _ in range(round(seconds)):
            await self.venue.advance(1.0)
            await self.publish_prices()
            await asyncio.sleep(0)

    async def publish_prices(self) -> None:
        core, now = self.venue.core, self.venue.clock.now
        held = {Right.CALL: self.contract(Right.CALL), Right.PUT: self.contract(Right.PUT)}
        names = {contract.id for contract in held.values()} | {row.instrument_key for row in self.fills() if row.instrument_key}
        quotes = []
        for name in sorted(names):
            listed = core.listing.get(name) if "|" in name else core.listing.of(name)
            quote = core.market.quote(listed, now) if listed is not None else None
            if quote is not None:
                quotes.append(quote)
        await self.publish_quotes(*quotes)

    async def publish_quotes(self, *quotes: Quote) -> None:
        self._seq += 1
        prices = Prices(seq=self._seq, ts=self.venue.clock.now, quotes=quotes, signals_id=self._signals_id)
        await self.bus.set_key(channels.PRICES_LATEST, encode(prices))
        await self.bus.publish(channels.PRICES, encode(prices))

    def _quote(self, instrument: str) -> Any:
        return None if self.host is None else self.host.floor.desk.quote(instrument)

    # --- what is known ---

    def fills(self, user: str | None = None) -> list[Entry]:
        return self.venue.ledger.entries(Happened.FILLED, user_id=user)

    def placed(self, user: str | None = None) -> list[Entry]:
        return [entry for entry in self.venue.ledger.entries(Happened.PLACED, user_id=user) if entry.source == "api"]

    async def events(self, user: str | None = None) -> list[PublicEvent]:
        entries = await self.bus.read(channels.EVENTS_STREAM, "0", count=100_000)
        events = [_decode_event(payload) for _, payload in entries]
        return [event for event in events if user in (None, event.user_id)]

    async def said(self, kind: str, user: str | None = None) -> list[PublicEvent]:
        return [event for event in await self.events(user) if event.type == kind]

    async def said_by_all(self, kind: str, *, or_armed: bool = False) -> bool:
        armed = self.host is not None and self.host.floor.live is not None and or_armed
        if armed:
            accounts = self.host.floor.live._accounts  # type: ignore[union-attr]
            return len(accounts) == len(self.users) and all(account._armed.is_set() for account in accounts.values())
        return {event.user_id for event in await self.said(kind)} >= set(self.users)

    async def until(self, what: Predicate, *, play: bool = False) -> None:
        """Wait for what must come; with `play` the market moves meanwhile."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await what():
                if play and not self._real_time:
                    await self.play(1)
                await asyncio.sleep(0.02)

    def watched(self, user: str, key: str) -> int:
        """Units of the contract whose stop a running host watches and could act on now."""
        if self._host_task is None or self.host is None or self.host.floor.live is None:
            return 0
        floor, name = self.host.floor, self.venue.core.listing.get(key)
        account, trader = self.host.floor.live._accounts.get(user), floor.traders.get(user)  # type: ignore[attr-defined]
        if name is None or trader is None or account is None or not account._armed.is_set():
            return 0
        units = 0
        for slot in trader.state.slots.values():
            position = slot.position
            if position is None or position.instrument.id != name.instrument.id or slot.exit_reason is not None:
                continue
            beyond = 0.0 if position.direction > 0 else math.inf
            if floor._triggers.is_touched((user, slot.key), position.instrument.id, beyond):
                units += int(position.quantity)
        return units

    def trader_position(self, user: str) -> dict[str, int]:
        """Units per instrument key as the runtime believes."""
        assert self.host is not None
        trader = self.host.floor.traders.get(user)
        net: dict[str, int] = {}
        for position in trader.state.open_positions if trader is not None else []:
            key = self.venue.core.listing.of(position.instrument.id).key
            net[key] = net.get(key, 0) + int(position.quantity) * position.direction
        return {key: quantity for key, quantity in net.items() if quantity}

    def venue_instrument(self, user: str) -> str:
        """The one contract the account holds."""
        (key,) = self.venue.ledger.net(user)
        listed = self.venue.core.listing.get(key)
        assert listed is not None
        return listed.instrument.id

    async def settled(self) -> bool:
        """No order under way or to be tried again, and the same positions on both sides."""
        assert self.host is not None
        states = [trader.state for trader in self.host.floor.traders.values()]
        quiet = all(not state.orders and all(slot.retry_at is None for slot in state.slots.values()) for state in states)
        return quiet and await self.books_agree()

    async def books_agree(self) -> bool:
        return all(self.trader_position(user) == self.venue.ledger.net(user) for user in self.users)


def later(stage: LiveStage, seconds: float) -> Any:
    return stage.venue.clock.now + timedelta(seconds=seconds)
