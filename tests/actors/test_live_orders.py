"""A host's live orders: they leave through its live desk, and what the broker reports comes back into its inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import msgspec

from actors.trader_host import TraderHost
from actors.user_trader import UserTrader
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import ForUser, SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from runtime import channels
from runtime.events import EngineInput, PauseSession, PublicEvent, StartSession
from runtime.market import Prices, Quote
from runtime.orders import Order, OrderAccepted, OrderFilled
from runtime.session import Mode
from tests.builders import at, config, option, signal
from tests.faults.test_host_restart import settle

HOST, USER = "packed-0", "u1"
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class RecordingDesk:
    """Keeps what it was asked for; the test plays the broker."""

    def __init__(self) -> None:
        self.submitted: list[tuple[Order, datetime]] = []
        self.cancelled: list[tuple[Order, datetime]] = []
        self.followed: list[tuple[str, list[str]]] = []

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None:
        self.deliver, self.now = deliver, now

    def follow(self, trader: UserTrader) -> None:
        self.followed.append((trader.user_id, list(trader.state.orders)))

    def submit(self, order: Order, ts: datetime) -> None:
        self.submitted.append((order, ts))

    def cancel(self, order: Order, ts: datetime) -> None:
        self.cancelled.append((order, ts))

    def call_off(self, forbids: Callable[[str, str], bool]) -> None:
        self.forbidden = [order.order_id for order, _ in self.submitted if forbids(order.user_id, order.slot)]

    def dismiss(self, user_id: str) -> None:
        self.followed.append((user_id, []))

    async def close(self) -> None:
        """Nothing is held open."""


class Stage:
    """Servers in memory, on which hosts come and go."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.bus, self.store, self.journal = MemoryBus(self.server), MemoryStore(), MemoryJournal()
        self._seq = 0

    async def host(self, desk: RecordingDesk | None) -> tuple[TraderHost, asyncio.Task[None]]:
        host = TraderHost(
            HOST, bus=MemoryBus(self.server), journal=self.journal, store=self.store, clock=VirtualClock(at("10:00")), live=desk
        )
        task = asyncio.create_task(host.run())
        await host.ready.wait()
        return host, task

    async def start_live(self) -> None:
        start = StartSession(ts=at("09:00"), command_id="start", config=config(mode=Mode.LIVE, broker="upstox", credentials="vault:1"))
        await self.store.upsert("sessions", {USER: {"active": True, "host": HOST}})
        await self.bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=USER, input=start)), max_length=100)
        await settle()

    async def signal(self) -> None:
        newest = await self.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
        self._seq += 1
        quotes = (Quote(option().id, 100.0, 99.95, 100.0),)
        await self.bus.publish(channels.PRICES, encode(Prices(seq=self._seq, ts=at("10:00"), quotes=quotes, signals_id=newest)))
        await settle()

    async def said(self) -> list[str]:
        entries = await self.bus.read(channels.EVENTS_STREAM, "0", count=1_000)
        return [str(_decode_event(payload).type) for _, payload in entries]


def test_a_live_order_leaves_through_the_live_desk_and_its_fill_is_taken_from_the_inbox() -> None:
    async def run() -> list[str]:
        stage, desk = Stage(), RecordingDesk()
        host, task = await stage.host(desk)
        await stage.start_live()
        await stage.signal()
        assert "ORDER_ACCEPTED" not in await stage.said()  # the paper desk has not touched it
        [(order, ts)] = desk.submitted
        assert (order.user_id, order.quantity, ts) == (USER, 30, at("10:00"))
        host.deliver(USER, OrderAccepted(ts=at("10:00"), order_id=order.order_id, broker_order_id="b-1"))
        host.deliver(USER, OrderFilled(ts=at("10:00"), order_id=order.order_id, fill_id="f", quantity=order.quantity, price=Decimal(100)))
        host.deliver("nobody", OrderAccepted(ts=at("10:00"), order_id="x", broker_order_id="b-2"))
        await settle()
        task.cancel()
        return await stage.said()

    assert run_virtual(run())[2:] == ["SIGNAL", "ORDER_SUBMITTED", "ORDER_ACCEPTED", "ORDER_FILLED", "POSITION_OPENED"]


def test_a_host_without_a_live_desk_rejects_live_orders_instead_of_filling_them_on_paper() -> None:
    async def run() -> list[str]:
        stage = Stage()
        _, task = await stage.host(None)
        await stage.start_live()
        await stage.signal()
        task.cancel()
        return await stage.said()

    assert run_virtual(run())[2:] == ["SIGNAL", "ORDER_SUBMITTED", "ORDER_REJECTED"]


def test_a_host_that_starts_asks_the_live_desk_about_orders_in_flight_and_sends_none_again() -> None:
    async def run() -> tuple[RecordingDesk, RecordingDesk]:
        stage, before, after = Stage(), RecordingDesk(), RecordingDesk()
        _, first = await stage.host(before)
        await stage.start_live()
        await stage.signal()
        first.cancel()
        _, second = await stage.host(after)
        second.cancel()
        return before, after

    before, after = run_virtual(run())
    assert after.submitted == []
    assert after.followed[0] == (USER, [before.submitted[0][0].order_id])


def test_a_pause_cancels_the_live_entry_at_its_broker() -> None:
    async def run() -> RecordingDesk:
        stage, desk = Stage(), RecordingDesk()
        _, task = await stage.host(desk)
        await stage.start_live()
        await stage.signal()
        pause = ForUser(user_id=USER, input=PauseSession(ts=at("10:00"), command_id="pause"))
        await stage.bus.append(channels.host_inbox(HOST), encode(pause), max_length=100)
        await settle()
        task.cancel()
        return desk

    desk = run_virtual(run())
    assert desk.cancelled == [(desk.submitted[0][0], at("10:00"))]
