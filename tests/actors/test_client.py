from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from actors.client import Client, NoAnswer
from adapters.memory import MemoryBus, MemoryServer
from runtime import channels
from runtime.commands import Action
from runtime.events import EventType, PublicEvent
from tests.builders import at


def event(user_id: str, seq: int, kind: EventType = EventType.HEARTBEAT, **data: object) -> tuple[str, int, str]:
    public = PublicEvent(event_id=f"{user_id}:{seq}", seq=seq, type=kind, user_id=user_id, ts=at("10:00"), data=data)
    return user_id, seq, msgspec.json.encode(public).decode()


async def answer_next_command(bus: MemoryBus, kind: EventType) -> dict[str, object]:
    """As a runtime would, with noise before the answer."""
    [(_, payload)] = await bus.read(channels.COMMANDS_STREAM, "0", block_seconds=1)
    command = json.loads(payload)
    await bus.publish_events(
        [event("9", 1), event("9", 2, kind, command_id="another"), event("7", 2, kind, command_id=command["command_id"])]
    )
    return command


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


async def test_a_command_goes_to_the_stream_and_its_own_answer_comes_back(server: MemoryServer) -> None:
    bus = MemoryBus(server)
    await bus.publish_events([event("7", 1, EventType.COMMAND_REJECTED, command_id="old")])

    command, answer = await asyncio.gather(
        answer_next_command(MemoryBus(server), EventType.COMMAND_ACCEPTED),
        Client(bus).send(Action.START_TRADING, "8", {"capital": 5}, command_id="mine"),
    )

    assert command == {"action": "START_TRADING", "user_id": "8", "command_id": "mine", "data": {"capital": 5}}
    assert (answer.type, answer.data) == (EventType.COMMAND_ACCEPTED, {"command_id": "mine"})


async def test_each_command_has_an_id_of_its_own_and_none_for_all_names_no_user(server: MemoryServer) -> None:
    client = Client(MemoryBus(server))
    for _ in range(2):
        with pytest.raises(NoAnswer, match=r"HALT_ALL within 0\.01 s"):
            await client.send(Action.HALT_ALL, timeout_seconds=0.01)

    commands = [json.loads(payload) for _, payload in await MemoryBus(server).read(channels.COMMANDS_STREAM, "0")]
    assert len({command["command_id"] for command in commands}) == 2
    assert all("user_id" not in command for command in commands)


async def test_a_command_may_go_by_the_channel(server: MemoryServer) -> None:
    bus = MemoryBus(server)
    async with bus.subscribe(channels.COMMANDS) as commands:
        with pytest.raises(NoAnswer):
            await Client(bus).send(Action.GET_STATUS, "7", command_id="c", by_channel=True, timeout_seconds=0.01)
        _, payload = await anext(aiter(commands))
    assert json.loads(payload)["action"] == "GET_STATUS"
    assert await bus.last_id(channels.COMMANDS_STREAM) == "0"


async def test_events_are_read_from_the_beginning_or_from_an_id_and_for_one_user_if_asked(server: MemoryServer) -> None:
    bus = MemoryBus(server)
    await bus.publish_events([event("7", 1), event("8", 1), event("7", 2)])
    client = Client(bus)

    everything = [(entry_id, found.user_id, found.seq) async for entry_id, found in client.events()]
    after_first = [(found.user_id, found.seq) async for _, found in client.events(after=everything[0][0])]
    of_one = [found.seq async for _, found in client.events(user_id="7")]

    assert [(user, seq) for _, user, seq in everything] == [("7", 1), ("8", 1), ("7", 2)]
    assert after_first == [("8", 1), ("7", 2)]
    assert of_one == [1, 2]


async def test_following_starts_with_what_is_new(server: MemoryServer) -> None:
    bus = MemoryBus(server)
    await bus.publish_events([event("7", 1)])
    following = Client(bus).follow()
    first = asyncio.create_task(anext(following))
    await asyncio.sleep(0)
    await bus.publish_events([event("7", 2)])

    _, found = await first
    assert found.seq == 2
    await following.aclose()
