"""Users who move from host to host all day, in one process and virtual time."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from actors.local_system import LocalSystem
from actors.placement import Placement, PlacementKind
from runtime.events import EventType, PublicEvent
from runtime.market import IST
from tests.faults.traders import GUARDED, STEADFAST
from tests.scenarios import test_published_signals as published
from tests.scenarios.test_options_scalper_day import SESSION, Played, of, play
from tests.scenarios.test_published_signals import following, publish, sides

OF_THE_HOST = frozenset({EventType.SESSION_RECOVERED, EventType.COMMAND_ACCEPTED, EventType.HEARTBEAT})
"""What depends on where a user lives: the moves themselves, and the beat of each host."""


def traded(played: Played, user: str) -> list[tuple[Any, ...]]:
    """What a user's day was, apart from where he was while he lived it."""
    return [(event.type, event.ts, event.data) for event in played.heard if event.user_id == user and event.type not in OF_THE_HOST]


async def started(system: LocalSystem) -> None:
    for user, data in (("steadfast", STEADFAST), ("guarded", GUARDED)):
        await system.send("START_TRADING", user, data)
    await system.settle()


@pytest.fixture(scope="module")
def at_rest() -> Played:
    async def script(system: LocalSystem) -> None:
        await started(system)
        await system.play()

    return play(script, users=0)


def test_a_day_of_a_user_who_moves_every_ten_minutes_equals_the_day_of_one_who_stays(at_rest: Played) -> None:
    async def script(system: LocalSystem) -> None:
        await started(system)

        async def wander() -> None:
            await system.until(datetime.combine(SESSION, time(9, 20, 30), IST))
            for number in range(36):
                for user in ("steadfast", "guarded"):
                    home = next(host_id for host_id, host in system.placer.hosts.items() if user in host.floor.traders)
                    to = {"packed-0": "packed-1", "packed-1": "dedicated"}.get(home, "packed-0")
                    await system.send("MIGRATE_USER", user, {"to": to}, command_id=f"move-{number}")
                await system.clock.sleep(timedelta(minutes=10).total_seconds())

        system.spawn(wander())
        await system.play()

    wandering = play(script, users=0)
    for user in ("steadfast", "guarded"):
        assert len(of(wandering.heard, "SESSION_RECOVERED", user=user)) >= 30
        assert traded(wandering, user) == traded(at_rest, user)
        assert [event.seq for event in wandering.heard if event.user_id == user] == list(
            range(1, len(of(wandering.heard, *EventType, user=user)) + 1)
        )
    assert wandering.rebuilt == wandering.live
    assert len(of(wandering.heard, "POSITION_OPENED")) > 4


def test_a_drained_host_is_empty_stays_empty_and_says_so_and_opens_again() -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("DRAIN_HOST", data={"host": "packed-0"}, command_id="drain")
        await system.clock.sleep(3)
        homes = {host_id: sorted(host.floor.traders) for host_id, host in system.placer.hosts.items()}
        assert homes == {"packed-0": [], "packed-1": ["u1", "u2", "u3"]}
        await system.send("START_TRADING", "u4", following())
        await publish(system, "buy", signalId="1")
        assert "u4" in system.placer.hosts["packed-1"].floor.traders
        await system.send("DRAIN_HOST", data={"host": "packed-1"}, command_id="no")
        await system.send("DRAIN_HOST", data={"host": "packed-0", "undo": True}, command_id="undo")
        await system.settle()
        await system.send("START_TRADING", "u5", following())
        await system.clock.sleep(1)
        assert "u5" in system.placer.hosts["packed-0"].floor.traders

    events = published.play(script, u1=following(), u2=following(), u3=following())
    answers = {event.data["command_id"]: event for event in events if event.user_id == "_platform" and event.type.startswith("COMMAND_")}
    assert (answers["drain"].data["host"], answers["drain"].data["users"]) == ("packed-0", 2)
    assert (answers["no"].type, answers["no"].data["field"]) == ("COMMAND_REJECTED", "data.host")
    [drained] = [event.data for event in events if event.type == "HOST_DRAINED"]
    assert drained == {"command_id": "drain", "host": "packed-0", "users": 2}
    for user in ("u1", "u2", "u3", "u4"):
        assert [(leg, side) for leg, side, _ in sides(events, user)] == [("ENTRY", "BUY")]


@pytest.mark.parametrize("killed", ["packed-0", "packed-1", "both"])
def test_a_move_is_finished_though_a_host_dies_in_the_middle_of_it(killed: str) -> None:
    """`u1` lives on packed-0 and holds a position; the signal to leave it comes while hosts are dead or moving."""

    async def script(system: LocalSystem) -> None:
        await publish(system, "buy", signalId="1")
        await system.send("MIGRATE_USER", "u1", {"to": "packed-1"}, command_id="move")
        dead = ["packed-0", "packed-1"] if killed == "both" else [killed]
        for host_id in dead:
            await system.placer.kill(host_id)
        await publish(system, "sell", signalId="2")
        for host_id in dead:
            await system.placer.ensure(Placement(host_id, PlacementKind.PACKED))
        await system.clock.sleep(20)
        assert [host_id for host_id, host in system.placer.hosts.items() if "u1" in host.floor.traders] == ["packed-1"]

    events = published.play(script, u1=following())
    assert [(leg, side) for leg, side, _ in sides(events, "u1")] == [("ENTRY", "BUY"), ("EXIT", "SELL"), ("ENTRY", "SELL")]
    assert answered(events, "move") == ["COMMAND_ACCEPTED"]
    assert [event.seq for event in events if event.user_id == "u1"] == list(range(1, sum(event.user_id == "u1" for event in events) + 1))


def test_commands_that_are_under_way_follow_a_user_who_moves() -> None:
    async def script(system: LocalSystem) -> None:
        for number in range(10):
            await system.send("PAUSE_TRADING", "u1", command_id=f"pause-{number}")
            await system.send("MIGRATE_USER", "u1", {"to": f"packed-{(number + 1) % 2}"}, command_id=f"move-{number}")
            await system.send("RESUME_TRADING", "u1", command_id=f"resume-{number}")
        await system.clock.sleep(20)

    events = published.play(script, u1=following())
    for number in range(10):
        for name in ("pause", "move", "resume"):
            assert answered(events, f"{name}-{number}") == ["COMMAND_ACCEPTED"]
    said = [event.type for event in events if event.user_id == "u1" and event.type in {"SESSION_PAUSED", "SESSION_RESUMED"}]
    assert said == ["SESSION_PAUSED", "SESSION_RESUMED"] * 10


@pytest.mark.parametrize(
    ("user", "to", "field", "reason"),
    [
        ("u1", "packed-7", "data.to", "unknown_host"),
        ("u1", "packed-0", "data.to", "invalid"),
        ("nobody", "packed-1", "user_id", "not_running"),
    ],
)
def test_a_move_to_nowhere_is_refused(user: str, to: str, field: str, reason: str) -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("MIGRATE_USER", user, {"to": to}, command_id="move")

    [refused] = [event.data for event in published.play(script, u1=following()) if event.type == "COMMAND_REJECTED"]
    assert (refused["field"], refused["reason"]) == (field, reason)


def answered(events: list[PublicEvent], command_id: str) -> list[str]:
    return [str(event.type) for event in events if event.data.get("command_id") == command_id and event.type.startswith("COMMAND_")]
