"""The order limit of a user holds in every sliding second, by the desk's own record, whatever the host goes through."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import ForUser, SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from runtime import channels
from runtime.events import StartSession
from runtime.market import Prices, Quote
from runtime.orders import Order
from runtime.session import RiskLimits
from runtime.signals import Side
from tests.builders import at, config, option, signal
from tests.faults.test_host_restart import settle

USER, HOST = "u1", "packed-0"
LIMIT = 8
SIGNALS = 50
STEP_SECONDS = 0.05


class World:
    def __init__(self) -> None:
        self.server, self.store, self.journal = MemoryServer(), MemoryStore(), MemoryJournal()
        self.bus = MemoryBus(self.server)
        self.clock = VirtualClock(at("10:00"))
        self.ledger: list[tuple[float, str]] = []
        """(venue seconds, order id or cancel) of every message that reached a desk."""
        self.seconds = 0.0
        self.task: asyncio.Task[None] | None = None

    async def boot(self) -> None:
        host = TraderHost(HOST, bus=MemoryBus(self.server), journal=self.journal, store=self.store, clock=self.clock)
        desk = host.floor.desk
        submit, cancel = desk.submit, desk.cancel

        def submitted(order: Order, *arguments: Any, **named: Any) -> Any:
            self.ledger.append((self.seconds, order.order_id))
            return submit(order, *arguments, **named)

        def cancelled(order_id: str, *arguments: Any) -> Any:
            self.ledger.append((self.seconds, f"cancel {order_id}"))
            return cancel(order_id, *arguments)

        desk.submit, desk.cancel = submitted, cancelled  # pyright: ignore[reportAttributeAccessIssue]
        self.task = asyncio.create_task(host.run())
        await host.ready.wait()

    async def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def prices(self, seq: int, signals_id: str) -> None:
        quotes = tuple(Quote(option(right=right).id, 100.0, 99.95, 100.0) for right in ("CE", "PE"))  # type: ignore[arg-type]
        ts = at("10:00").replace(second=int(self.seconds) % 60, minute=int(self.seconds) // 60, microsecond=int(self.seconds % 1 * 1e6))
        await self.bus.publish(channels.PRICES, encode(Prices(seq=seq, ts=ts, quotes=quotes, signals_id=signals_id)))


async def burst(restart_every: int | None) -> World:
    world = World()
    await world.boot()
    settings = config(risk=RiskLimits(max_orders_per_second=LIMIT, max_orders_per_day=10_000, max_daily_loss=None))
    await world.store.upsert("sessions", {USER: {"active": True, "host": HOST}})
    start = StartSession(ts=at("09:59"), command_id="start", config=settings)
    await world.bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=USER, input=start)), max_length=10)
    await settle()
    await world.prices(1, "0")
    signals_id = "0"
    for number in range(SIGNALS + 100):  # and two more seconds of prices in which everything that waits may leave
        world.seconds = round(1 + number * STEP_SECONDS, 6)
        if number < SIGNALS:
            side = (Side.LONG, Side.SHORT)[number % 2]
            ts = at("10:00").replace(second=int(world.seconds), microsecond=int(world.seconds % 1 * 1e6))
            what = signal(side, ts=ts, signal_id=f"s{number}")
            signals_id = await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=what, closed_at_ns=0)), max_length=100)
        await world.prices(number + 2, signals_id)
        await settle()
        if restart_every is not None and number % restart_every == restart_every - 1:
            await world.kill()
            await world.boot()
    await world.kill()
    return world


@pytest.mark.parametrize("restart_every", [None, 7, 3])
def test_fifty_signals_in_a_burst_never_send_more_than_the_limit_in_any_sliding_second(restart_every: int | None) -> None:
    ledger = run_virtual(burst(restart_every)).ledger
    first_seen: dict[str, float] = {}
    for seconds, message in ledger:  # a successor's desk is shown what is still open: the broker has it already
        first_seen.setdefault(message, seconds)
    times = sorted(first_seen.values())
    assert len(times) > 2 * LIMIT  # the limit did bind
    windows = [later - earlier for earlier, later in zip(times, times[LIMIT:], strict=False)]
    assert min(windows) >= 1.0
    assert all(earlier <= later for earlier, later in pairwise(times))
