"""Whose command is taken next, in virtual time: everybody gets a turn, whatever one of them sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from actors.supervisor.intake import BURST, PER_SECOND, WAITING_MAX, Arrival, Intake
from actors.virtual_time import VirtualClock, run_virtual
from adapters.memory import MemoryBus
from runtime import channels
from tests.builders import at


def arrival(user_id: object, action: str = "PAUSE_TRADING", entry_id: str | None = None, **more: object) -> Arrival:
    payload = json.dumps({"action": action, "user_id": user_id, **more}).encode()
    return Arrival(payload=payload, arrived_at=at("10:00"), entry_id=entry_id)


def with_intake(test: Callable[[Intake, MemoryBus], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        bus = MemoryBus()
        await test(Intake(bus, VirtualClock(at("10:00"))), bus)

    def case() -> None:
        run_virtual(run())

    case.__name__ = test.__name__
    return case


async def taken(intake: Intake, count: int) -> list[str]:
    return [str(json.loads((await intake.take()).payload)["user_id"]) for _ in range(count)]


@with_intake
async def test_a_command_waits_for_one_command_of_every_other_user_at_most(intake: Intake, bus: MemoryBus) -> None:
    for _ in range(100):
        await intake.offer(arrival("flood"))
    for _ in range(2):
        for name in ("a", "b"):
            await intake.offer(arrival(name))
    assert await taken(intake, 8) == ["flood", "a", "b", "flood", "a", "b", "flood", "flood"]


@with_intake
async def test_one_users_commands_are_taken_in_the_order_they_arrived(intake: Intake, bus: MemoryBus) -> None:
    for number in range(20):
        await intake.offer(arrival("a", command_id=str(number)))
        await intake.offer(arrival("b"))
    ids = [json.loads((await intake.take()).payload).get("command_id") for _ in range(40)]
    assert [name for name in ids if name] == [str(number) for number in range(20)]


@with_intake
async def test_after_its_burst_a_flood_is_taken_at_its_rate_and_nobody_waits_for_it(intake: Intake, bus: MemoryBus) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(BURST + 100):
        await intake.offer(arrival("flood"))
    await taken(intake, BURST)
    assert loop.time() == 0
    await intake.offer(arrival("a"))
    assert await taken(intake, 1) == ["a"]
    assert loop.time() == 0
    await taken(intake, 100)
    assert loop.time() == pytest.approx(100 / PER_SECOND, rel=0.02)


@with_intake
async def test_what_lies_beyond_a_users_bound_is_refused_in_one_answer_and_done_with_on_the_stream(intake: Intake, bus: MemoryBus) -> None:
    stream, group = channels.COMMANDS_STREAM, channels.COMMANDS_GROUP
    await bus.create_group(stream, group)
    for _ in range(WAITING_MAX + 3):
        await bus.append(stream, b"{}", max_length=10_000)
    for entry_id, _ in await bus.read_group(stream, group, "supervisor", count=10_000):
        await intake.offer(arrival("flood", entry_id=entry_id))
    entries = [entry_id for entry_id, _ in await bus.read(stream, "0", count=10_000)]
    assert len(entries) == WAITING_MAX + 1  # those that wait, and the first that was refused until its answer is durable
    refused = [one for one in [await intake.take() for _ in range(WAITING_MAX + 1)] if one.refused]
    assert [(one.refused, one.entry_id) for one in refused] == [(3, entries[-1])]


@with_intake
async def test_the_kill_switch_waits_behind_nothing(intake: Intake, bus: MemoryBus) -> None:
    for number in range(50):
        await intake.offer(arrival(f"u{number}"))
    await intake.offer(arrival(None, action="HALT_ALL"))
    urgent = await intake.take_urgent()
    assert b"HALT_ALL" in urgent.payload
    assert await taken(intake, 1) == ["u0"]


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"user_id": {"a": 1}}', b'{"user_id": true}', b'{"user_id":' + b"9" * 5_000 + b"}", b"[" * 9_000],
)
def test_what_names_no_user_has_a_lane_of_its_own(payload: bytes) -> None:
    async def run() -> None:
        intake = Intake(MemoryBus(), VirtualClock(at("10:00")))
        for _ in range(3):
            await intake.offer(Arrival(payload=payload, arrived_at=at("10:00"), entry_id=None))
        await intake.offer(arrival("a"))
        assert [(await intake.take()).payload == payload for _ in range(4)] == [True, False, True, True]

    run_virtual(run())
