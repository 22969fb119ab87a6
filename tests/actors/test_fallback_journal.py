"""The journal of a host whose store goes away: what it takes meanwhile is in the store afterwards, once, or nobody has acted on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.fallback_journal import FallbackJournal
from actors.trader_host import TraderHost
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SignalMessage, encode
from adapters.local_log import LocalLog, read_frames
from adapters.memory import MemoryBus, MemoryJournal
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import EventType, JournalRecord
from runtime.market import Prices, Quote
from tests.builders import at, option, signal
from tests.faults.test_host_restart import HOST, USER, World, settle


class FickleJournal(MemoryJournal):
    """Away while `is_away`: it answers nothing, or writes and does not say so (`deaf`), or refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = self.deaf = self.hangs = False

    async def append(self, records: Sequence[JournalRecord]) -> list[str]:
        if self.deaf:
            await super().append(records)
        await self._answer()
        return await super().append(records)

    async def load_snapshots(self, user_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        await self._answer()
        return await super().load_snapshots(user_ids)

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise ServerUnavailable("no answer")


def record(number: int, *, epoch: int = 1, user: str = USER) -> JournalRecord:
    return JournalRecord(user_id=user, number=number, epoch=epoch, ts=at("10:00"), input="{}", last_seq=number)


def backed(journal: MemoryJournal, folder: Path, bus: MemoryBus | None = None, *, bytes_max: int = 1 << 20) -> FallbackJournal:
    log = LocalLog(folder, HOST, bytes_max=bytes_max)
    return FallbackJournal(journal, bus or MemoryBus(), VirtualClock(at("10:00")), log)


async def numbers(journal: MemoryJournal, user: str = USER) -> list[int]:
    return [each.number async for each in journal.read(user)]


@pytest.mark.parametrize("how", ["is_away", "hangs", "deaf"])
def test_what_comes_while_the_store_is_away_is_in_it_once_when_it_is_back(tmp_path: Path, how: str) -> None:
    async def run() -> list[int]:
        store = FickleJournal()
        journal = backed(store, tmp_path)
        await journal.append([record(1)])
        store.is_away = True
        setattr(store, how, True)
        assert await journal.append([record(2), record(3)]) == []
        assert await journal.append([record(4)]) == []
        assert journal.is_away
        store.is_away = store.hangs = store.deaf = False
        answered = asyncio.Event()
        watching = asyncio.create_task(journal.watch(answered.set))
        await answered.wait()
        watching.cancel()
        assert await journal.restore() == set()
        assert not journal.is_away
        await journal.append([record(5)])
        return await numbers(store)

    assert run_virtual(run()) == [1, 2, 3, 4, 5]
    assert list(tmp_path.iterdir()) == []


def test_an_outage_in_the_middle_of_the_return_loses_nothing(tmp_path: Path) -> None:
    async def run() -> list[int]:
        store = FickleJournal()
        journal = backed(store, tmp_path)
        store.is_away = True
        for number in (1, 2):
            await journal.append([record(number)])
        with pytest.raises(ServerUnavailable):
            await journal.restore()
        assert journal.is_away
        await journal.append([record(3)])
        store.is_away = False
        await journal.restore()
        return await numbers(store)

    assert run_virtual(run()) == [1, 2, 3]


def test_a_host_whose_user_lives_elsewhere_by_redis_writes_nothing_down_for_him(tmp_path: Path) -> None:
    async def run() -> list[str]:
        store, bus = FickleJournal(), MemoryBus()
        await bus.set_fields(channels.EPOCHS, {"moved": b"2", "here": b"1"})
        journal = backed(store, tmp_path, bus)
        store.is_away = True
        return await journal.append([record(7, user="moved"), record(3, user="here")])

    assert run_virtual(run()) == ["moved"]
    (path,) = tmp_path.iterdir()
    assert [each.user_id for batch in read_frames(path) for each in batch] == ["here"]


def test_records_that_another_incarnation_has_forestalled_are_kept_aside_and_not_written(tmp_path: Path) -> None:
    """Both this host and Redis were cut off from the one that took the user over."""

    async def run() -> tuple[set[str], list[int]]:
        store = FickleJournal()
        journal = backed(store, tmp_path)
        await journal.append([record(1)])
        store.is_away = True
        await journal.append([record(2), record(1, user="other")])
        store.is_away = False
        await store.append([record(2, epoch=2)])
        fenced = await journal.restore()
        return fenced, [each.epoch async for each in store.read(USER)] + await numbers(store, "other")

    assert run_virtual(run()) == ({USER}, [1, 2, 1])
    (aside,) = tmp_path.iterdir()
    assert aside.suffix == ".refused"
    assert [each.number for batch in read_frames(aside) for each in batch] == [2, 1]


def test_a_log_that_is_full_lets_the_writer_wait_until_the_store_is_back(tmp_path: Path) -> None:
    async def run() -> list[int]:
        store = FickleJournal()
        journal = backed(store, tmp_path, bytes_max=150)
        store.is_away = True
        await journal.append([record(1)])
        writing = asyncio.create_task(journal.append([record(2)]))
        await asyncio.sleep(60)
        assert not writing.done()
        store.is_away = False
        assert await writing == []
        assert not journal.is_away
        return await numbers(store)

    assert run_virtual(run()) == [1, 2]


def test_a_host_that_dies_between_its_log_and_the_order_sends_it_when_it_lives_again(tmp_path: Path) -> None:
    """The exit is on the disk and not at the desk: as if the process had been killed between the two."""

    async def run() -> tuple[list[str], list[str], list[int]]:
        world = World()
        store = FickleJournal()
        world.journal = store
        sent: list[str] = []

        def host(*, dies: bool) -> TraderHost:
            log = LocalLog(tmp_path, HOST)
            made = TraderHost(HOST, bus=world.bus, journal=store, store=world.store, clock=VirtualClock(at("10:00")), local_log=log)
            submit = made.floor.desk.submit

            def recorded(order, *arguments, **named):
                if dies and order.leg == "EXIT":
                    task.cancel()
                    return []
                sent.append(order.leg)
                return submit(order, *arguments, **named)

            made.floor.desk.submit = recorded
            return made

        async def price(seq: int, price: float, newest: str) -> None:
            quotes = (Quote(option().id, price, price - 0.05, price),)
            prices = encode(Prices(seq=seq, ts=at(f"10:00:{seq:02d}"), quotes=quotes, signals_id=newest))
            await world.bus.set_key(channels.PRICES_LATEST, prices)
            await world.bus.publish(channels.PRICES, prices)
            await settle()

        first = host(dies=True)
        task = asyncio.create_task(first.run())
        await first.ready.wait()
        await world.start()
        await price(1, 100.0, "0")
        newest = await world.bus.append(channels.SIGNALS, encode(SignalMessage(signal=signal(), closed_at_ns=0)), max_length=10)
        await price(2, 100.0, newest)
        store.is_away = True
        await price(3, 70.0, newest)
        await asyncio.wait([task])
        assert sent == ["ENTRY"]
        first._journal._log._forget()  # the kernel frees the lock of the dead
        store.is_away = False
        second = host(dies=False)
        again = asyncio.create_task(second.run())
        await second.ready.wait()
        await settle()
        again.cancel()
        await asyncio.wait([again])
        events = await world.events()
        closed = [str(event.data["exit_reason"]) for event in events if event.type is EventType.POSITION_CLOSED]
        return sent, closed, [event.seq for event in events]

    sent, closed, seqs = run_virtual(run())
    assert sent == ["ENTRY", "EXIT"]
    assert closed == ["SL"]
    assert seqs == list(range(1, len(seqs) + 1))
    assert list(tmp_path.iterdir()) == []
