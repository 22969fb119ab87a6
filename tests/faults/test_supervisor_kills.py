"""A supervisor that is killed with -9 in the middle of a move, on real processes and servers.

While it is dead the price falls through the stop of the user on his way: he has one exit. Its successor finishes the move.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.wire import encode
from adapters.embedded.process import ServerProcess
from runtime import channels
from runtime.events import EventType
from runtime.orders import Leg
from tests.faults.away_stage import HIGH, HOST, LOW, USER, AwayStage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OTHER = "packed-1"
STEPS = (2, 7, 10, 14)
"""Calls of the supervisor, before and after, from the move's first one on."""


@pytest.fixture
async def stage(tmp_path: Path, valkey: ServerProcess, mongod: ServerProcess) -> AsyncIterator[AwayStage]:
    stage = AwayStage(tmp_path, valkey=valkey, mongod=mongod)
    stage.start_beside(OTHER)
    yield stage
    await stage.close()


@contextmanager
def supervisor(stage: AwayStage, dies_at: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.supervisor_process", str(dies_at)]
    environment = os.environ | {"REDIS_URL": stage.valkey.url, "MONGODB_URL": stage.mongod.url}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


async def send(stage: AwayStage, action: str, command_id: str, **data: Any) -> None:
    message = {"action": action, "user_id": USER, "command_id": command_id, "data": data}
    await stage.bus.append(channels.COMMANDS_STREAM, encode(message), max_length=1_000)


async def test_a_move_whose_supervisor_is_killed_is_finished_and_its_user_always_has_his_stop(stage: AwayStage) -> None:
    await stage.prepare()
    with supervisor(stage):
        await send(stage, "START_TRADING", "start", sizing={"method": "fixed", "quantity": 30}, risk={"max_daily_loss": None}, fees="none")
        await stage.hears(EventType.SESSION_STARTED)
    stage.open_market()
    for number, dies_at in enumerate(STEPS, start=1):
        await stage.price(HIGH)
        await stage.enter()
        await stage.hears(EventType.POSITION_OPENED, times=number, price=HIGH)
        home = await stage.home()
        target = OTHER if home == HOST else HOST
        with supervisor(stage, dies_at) as mortal:
            await send(stage, "MIGRATE_USER", f"move-{number}", to=target)
            assert await asyncio.to_thread(mortal.wait) == -9
        await stage.price(LOW)
        await stage.hears(EventType.POSITION_CLOSED, times=number, price=LOW)
        with supervisor(stage):
            await stage.hears(EventType.COMMAND_ACCEPTED, command_id=f"move-{number}", price=HIGH)
            assert await stage.home() == target
    await stage.books_agree()
    assert len(stage.sent(Leg.EXIT)) == len(stage.sent(Leg.ENTRY)) == len(STEPS)
    closed = await stage.of(EventType.POSITION_CLOSED)
    assert [event.data["exit_reason"] for event in closed] == ["SL"] * len(STEPS)
