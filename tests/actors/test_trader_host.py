"""A packed host: who is served when, and how thousands come back after a restart."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import msgspec
import numpy as np
from scipy.stats import friedmanchisquare

from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from runtime import channels
from runtime.events import EventType, JournalRecord, PublicEvent, StartSession
from runtime.market import Prices, Quote
from runtime.session import RiskLimits
from runtime.signals import Side
from tests.builders import at, config, option, signal
from tests.faults.test_host_restart import settle

HOST = "packed-0"
_decode_event = msgspec.json.Decoder(PublicEvent).decode
SETTINGS = config(risk=RiskLimits(max_orders_per_day=1_000, max_daily_loss=None))


class Host:
    """A host over memory, its users' sessions in the journal before it starts."""

    def __init__(self, users: int) -> None:
        self.server = MemoryServer()
        self.bus, self.store, self.journal = MemoryBus(self.server), MemoryStore(), MemoryJournal()
        self.users = [f"u{number:04d}" for number in range(users)]
        self._seq = 0

    async def prepare(self) -> None:
        start = encode(StartSession(ts=at("09:15"), command_id="c", config=SETTINGS)).decode()
        await self.journal.append([JournalRecord(user_id=user, number=1, epoch=1, ts=at("09:15"), input=start) for user in self.users])
        await self.store.upsert("sessions", {user: {"active": True, "host": HOST} for user in self.users})

    @asynccontextmanager
    async def running(self):
        host = TraderHost(HOST, bus=MemoryBus(self.server), journal=self.journal, store=self.store, clock=VirtualClock(at("09:30")))
        task = asyncio.create_task(host.run())
        await host.ready.wait()
        yield host
        await settle()
        task.cancel()
        with suppress(asyncio.CancelledError, ExceptionGroup):
            await task

    async def signal(self, side: Side, minutes: int, *, last: float = 100.0) -> None:
        """A signal to trade at 100, and with it prices that show `last`."""
        self._seq += 1
        ts = at("09:30") + timedelta(minutes=minutes)
        message = SignalMessage(signal=signal(side, ts=ts, stop=None, target=None), closed_at_ns=0)
        newest = await self.bus.append(channels.SIGNALS, encode(message), max_length=1_000)
        await self._publish(Prices(seq=self._seq, ts=ts, quotes=(Quote(option().id, last, last - 0.05, last),), signals_id=newest))

    async def quiet(self, minutes: int) -> None:
        """Prices, and no signal."""
        self._seq += 1
        await self._publish(Prices(seq=self._seq, ts=at("09:30") + timedelta(minutes=minutes)))

    async def _publish(self, prices: Prices) -> None:
        await self.bus.publish(channels.PRICES, encode(prices))
        await settle()

    async def events(self, kind: EventType) -> list[PublicEvent]:
        entries = await self.bus.read(channels.EVENTS_STREAM, "0", count=1_000_000)
        return [event for _, payload in entries if (event := _decode_event(payload)).type is kind]


async def entry_ranks(users: int, signals: int) -> list[list[int]]:
    """Position of each user (by number) among the entries of each signal."""
    host = Host(users)
    await host.prepare()
    async with host.running():
        for number in range(signals):
            await host.signal(Side.LONG, 2 * number)
            await host.signal(Side.FLAT, 2 * number + 1)
    entries = [event for event in await host.events(EventType.ORDER_SUBMITTED) if event.data["leg"] == "ENTRY"]
    order = [[event.user_id for event in entries[start : start + users]] for start in range(0, len(entries), users)]
    return [[served.index(user) for user in host.users] for served in order]


def test_no_user_is_served_earlier_than_another_on_the_whole() -> None:
    ranks = run_virtual(entry_ranks(users=12, signals=40))
    assert len(ranks) == 40
    by_user = np.array(ranks).T
    assert all(len(set(row)) >= 5 for row in by_user)
    assert friedmanchisquare(*by_user).pvalue > 0.01


async def skipped_after_a_trade_at(last: float) -> list[str]:
    host = Host(1)
    await host.prepare()
    async with host.running():
        await host.signal(Side.FLAT, 0, last=last)
        await host.signal(Side.LONG, 1)
    return [event.data["reason"] for event in await host.events(EventType.SIGNAL_SKIPPED)]


def test_an_entry_far_from_the_last_trade_that_the_host_knows_is_refused() -> None:
    """The signal wants to pay 100; the collar allows 20 % above the last trade."""
    assert run_virtual(skipped_after_a_trade_at(80.0)) == ["flat", "risk_limit"]
    assert run_virtual(skipped_after_a_trade_at(85.0)) == ["flat"]


def test_the_order_of_service_is_a_function_of_the_signal() -> None:
    first, again = run_virtual(entry_ranks(users=12, signals=3)), run_virtual(entry_ranks(users=12, signals=3))
    assert first == again
    assert len({tuple(ranks) for ranks in first}) == 3


def test_a_host_that_starts_restores_all_its_users_under_new_epochs_and_reconciles_them() -> None:
    async def run() -> tuple[Host, TraderHost]:
        host = Host(1_100)
        await host.prepare()
        async with host.running():
            await host.signal(Side.LONG, 1)
        async with host.running() as second:
            pass
        return host, second

    host, second = run_virtual(run())
    assert sorted(second.floor.traders) == host.users
    assert {trader.epoch for trader in second.floor.traders.values()} == {2}
    assert all(len(trader.state.open_positions) == 1 for trader in second.floor.traders.values())
    recovered = run_virtual(host.events(EventType.SESSION_RECOVERED))
    assert [(event.user_id, event.data["epoch"]) for event in recovered] == [(user, epoch) for epoch in (1, 2) for user in host.users]


def test_a_journal_that_cannot_be_replayed_is_no_reason_to_fail_the_neighbours() -> None:
    async def run() -> tuple[Host, TraderHost]:
        host = Host(700)
        await host.prepare()
        for user in ("u0003", "u0600"):
            await host.journal.append([JournalRecord(user_id=user, number=2, epoch=1, ts=at("09:16"), input='{"type":"Nonsense"}')])
        async with host.running() as running:
            pass
        return host, running

    host, running = run_virtual(run())
    assert set(host.users) - set(running.floor.traders) == {"u0003", "u0600"}
    failed = run_virtual(host.store.find("sessions", {"status": "FAILED"}))
    assert [session["_id"] for session in failed] == ["u0003", "u0600"]


def test_traders_far_from_their_last_snapshot_are_saved_together_once_all_is_published() -> None:
    async def run() -> tuple[Host, dict[str, tuple[int, bytes]]]:
        host = Host(3)
        await host.prepare()
        async with host.running():
            for number in range(40):
                await host.signal(Side.LONG if number % 2 == 0 else Side.FLAT, number)
            for minutes in (41, 42):  # the first brings a heartbeat, which is to be published first
                await host.quiet(minutes)
        return host, await host.journal.load_snapshots(host.users)

    host, snapshots = run_virtual(run())
    numbers = {user: snapshot[0] for user, snapshot in snapshots.items()}
    assert set(numbers) == set(host.users)
    assert all(number >= 100 for number in numbers.values())
