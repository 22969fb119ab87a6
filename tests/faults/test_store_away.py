"""Real servers die while a user holds a position whose stop is touched: the exit leaves, once, and the journal has it all afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.embedded.process import ServerProcess
from runtime.events import EventType
from runtime.orders import Leg
from runtime.session import ExitMode, Protection
from tests.faults.away_stage import HIGH, LOW, AwayStage, reasons

pytestmark = pytest.mark.slow  # each boots servers of its own


@pytest.fixture
async def stage(tmp_path: Path, valkey: ServerProcess, mongod: ServerProcess) -> AsyncIterator[AwayStage]:
    stage = AwayStage(tmp_path, valkey=valkey, mongod=mongod)
    yield stage
    await stage.close()


async def test_a_stop_that_is_touched_while_mongod_is_dead_closes_the_position_once(stage: AwayStage) -> None:
    await stage.begin()
    stage.kill(stage.mongod)
    await stage.price(LOW)
    await stage.hears(EventType.POSITION_CLOSED, exit_reason="SL")

    assert stage.mongod.pid is None  # all of that went without it
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT]
    assert [path.suffix for path in stage.host.logs()] == [".log"]

    await stage.restart(stage.mongod)
    await stage.hears(EventType.STORE_UP, price=HIGH)
    assert stage.host.logs() == []
    await stage.enter()
    await stage.hears(EventType.POSITION_OPENED, times=2)
    await stage.books_agree()
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]


async def test_a_signal_that_comes_while_mongod_is_dead_is_followed_once_when_it_is_back(stage: AwayStage) -> None:
    await stage.begin()
    stage.kill(stage.mongod)
    await stage.price(LOW)
    await stage.hears(EventType.POSITION_CLOSED)
    await stage.enter()
    await stage.hears(EventType.SIGNAL, times=2, price=HIGH)
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT]

    await stage.restart(stage.mongod, price=HIGH)
    await stage.hears(EventType.POSITION_OPENED, times=2, price=HIGH)
    await stage.books_agree()
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]


async def test_a_host_that_is_killed_in_the_outage_has_left_all_it_did_to_its_successor(stage: AwayStage) -> None:
    await stage.begin()
    stage.kill(stage.mongod)
    await stage.price(LOW)
    await stage.hears(EventType.POSITION_CLOSED)
    stage.host.kill()
    stage.start_host()
    await stage.restart(stage.mongod)
    await stage.hears(EventType.SESSION_RECOVERED, price=HIGH)

    assert stage.host.logs() == []
    await stage.enter()
    await stage.hears(EventType.POSITION_OPENED, times=2)
    await stage.books_agree()
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT, Leg.ENTRY]


async def test_a_disk_that_is_full_in_the_outage_lets_nothing_out_and_nobody_down(stage: AwayStage) -> None:
    """Neither store nor disk takes what an order must be preceded by: it waits, the host lives, and all is well when one is back."""
    await stage.begin()
    stage.host.limit_files(1_000)
    stage.kill(stage.mongod)
    await stage.price(LOW)

    async def told() -> bool:
        return any("neither the journal's store nor the local log takes a record" in line for line in stage.host.told)

    await stage.until(told, "the alarm")
    assert not stage.host.has_ended
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY]

    await stage.restart(stage.mongod)
    await stage.hears(EventType.POSITION_CLOSED, exit_reason="SL")
    await stage.books_agree()
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT]


async def test_the_clock_closes_positions_while_valkey_is_dead(stage: AwayStage) -> None:
    """No prices, no commands: what is left is memory and the broker. The venue's clock goes on by ours."""
    await stage.begin(Protection(exit_mode=ExitMode.SIGNAL_ONLY, max_hold=timedelta(seconds=9)))
    stage.kill(stage.valkey)

    async def closed() -> bool:
        return len(stage.sent(Leg.EXIT)) == 1

    await stage.until(closed, "the exit in the ledger")
    assert stage.valkey.pid is None
    records = await stage.journaled()
    assert '"POSITION_CLOSED"' in records[-1].events[-1]

    await stage.restart(stage.valkey)
    await stage.hears(EventType.FEED_UP, price=HIGH)
    await stage.books_agree()
    assert reasons(await stage.of(EventType.FEED_DOWN)) == ["no market data"]
    assert [line.leg for line in stage.sent()] == [Leg.ENTRY, Leg.EXIT]
