"""The kill switch of a whole system, in one process and virtual time: who is stopped, who is told, and who has acknowledged it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.local_system import LocalSystem
from actors.placement import Placement, PlacementKind
from actors.wire import Cry, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import PublicEvent
from runtime.halts import HaltTarget
from tests.scenarios.test_published_signals import KEY, following, play, publish, sides, subscription

USERS: dict[str, dict[str, Any]] = {"u1": following(), "u2": following(), "u3": following(source="elsewhere")}


def roll_calls(events: list[PublicEvent]) -> list[dict[str, object]]:
    return [event.data for event in events if event.type == "ROLL_CALL"]


@pytest.mark.parametrize(
    ("user_id", "data", "stopped", "hosts", "traders"),
    [
        (None, {"scope": "platform"}, {"u1", "u2"}, 2, 3),
        (None, {"scope": "strategy", "strategy": "external"}, {"u1", "u2"}, 2, 3),
        (None, {"scope": "strategy", "strategy": KEY}, {"u1", "u2"}, 2, 3),
        (None, {"scope": "strategy", "strategy": "ema_cross"}, set(), 2, 3),
        ("u1", {"scope": "user"}, {"u1"}, 1, 1),
        ("u1", {"scope": "subscription", "strategy": KEY}, {"u1"}, 1, 1),
    ],
)
def test_a_halt_stops_what_it_covers_until_it_is_lifted_and_every_host_acknowledges_both(
    user_id: str | None, data: dict[str, Any], stopped: set[str], hosts: int, traders: int
) -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("HALT", user_id, data | {"reason": "drill"}, command_id="halt")
        await publish(system, "buy", signalId="1")
        await system.send("RESUME", user_id, data, command_id="resume")
        await publish(system, "sell", signalId="2")

    events = play(script, **USERS)
    for user in ("u1", "u2"):
        legs = [(leg, side) for leg, side, _ in sides(events, user)]
        assert legs == ([("ENTRY", "SELL")] if user in stopped else [("ENTRY", "BUY"), ("EXIT", "SELL"), ("ENTRY", "SELL")])
    calls = roll_calls(events)
    assert [(call["command_id"], call["halted"], call["complete"], call["missing"]) for call in calls] == [
        ("halt", True, True, []),
        ("resume", False, True, []),
    ]
    assert [(call["scope"], call["hosts"], call["acknowledged"], call["traders"]) for call in calls] == [
        (data["scope"], hosts, hosts, traders)
    ] * 2
    [answer] = [event.data for event in events if event.data.get("command_id") == "halt" and event.type == "COMMAND_ACCEPTED"]
    assert (answer["scope"], answer["hosts"]) == (data["scope"], hosts)


def test_a_host_that_is_away_is_named_as_missing_and_acknowledges_when_it_is_back() -> None:
    async def script(system: LocalSystem) -> None:
        await system.placer.kill("packed-0")
        await system.send("HALT", None, {"scope": "platform", "reason": "drill"}, command_id="halt")
        await system.clock.sleep(10)
        kept = await system.store.get("platform", "halt:platform")
        assert kept is not None
        assert (sorted(kept["told"]), sorted(kept["acknowledged"]), kept["complete"]) == (["packed-0", "packed-1"], ["packed-1"], False)
        await system.placer.ensure(Placement("packed-0", PlacementKind.PACKED))
        await publish(system, "buy", signalId="1")
        kept = await system.store.get("platform", "halt:platform")
        assert kept is not None
        assert (sorted(kept["acknowledged"]), kept["complete"]) == (["packed-0", "packed-1"], True)

    events = play(script, **USERS)
    calls = roll_calls(events)
    assert [(call["acknowledged"], call["missing"], call["complete"]) for call in calls] == [(1, ["packed-0"], False), (2, [], True)]
    assert calls[1]["traders"] == 3
    assert sides(events, "u1") == sides(events, "u2") == []


def test_who_subscribes_during_a_halt_of_the_strategy_is_halted_too() -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("HALT", None, {"scope": "strategy", "strategy": "external", "reason": "drill"})
        await system.settle()
        await system.send("START_TRADING", "late", following())
        await system.send("SUBSCRIBE", "u3", subscription())
        await publish(system, "buy", signalId="1")
        await system.send("RESUME_TRADING", "late")  # a user's own command lifts no operator's halt
        await publish(system, "buy", signalId="2")

    events = play(script, **USERS)
    assert [sides(events, user) for user in ("late", "u3")] == [[], []]
    reasons = {event.data["reason"] for event in events if event.type == "SIGNAL_SKIPPED"}
    assert reasons == {"halted"}


def test_a_repeated_halt_command_does_not_halt_again_what_was_resumed() -> None:
    async def script(system: LocalSystem) -> None:
        for action in ("HALT_ALL", "RESUME_ALL", "HALT_ALL"):
            await system.send(action, command_id=action)
            await system.settle()
        await publish(system, "buy", signalId="1")

    events = play(script, **USERS)
    assert [(leg, side) for leg, side, _ in sides(events, "u1")] == [("ENTRY", "BUY")]
    repeated = [
        event.data.get("repeated", False) for event in events if event.data.get("command_id") == "HALT_ALL" and "action" in event.data
    ]
    assert repeated == [False, True]


class Away(dict[str, Any]):
    """A collection that cannot be written."""

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        raise ServerUnavailable(f"the store does not take {key}: {default}")


def shut(system: LocalSystem) -> set[bool]:
    """Whether the hosts let no entry out."""
    return {host.floor.kill_switch.forbids("u1", KEY) for host in system.placer.hosts.values()}


def test_the_gates_are_shut_before_the_halt_can_be_written_down_and_it_counts_once_it_can() -> None:
    async def script(system: LocalSystem) -> None:
        commands = system.store._collections["commands"]
        system.store._collections["commands"] = Away(commands)
        await system.send("HALT_ALL", command_id="halt")
        await system.settle()
        assert shut(system) == {True}
        assert await system.store.get("platform", "halt:platform") is None
        system.store._collections["commands"] = commands
        await system.clock.sleep(5)
        assert (await system.store.get("platform", "halt:platform") or {})["complete"]
        await system.send("RESUME_ALL", command_id="resume")
        await system.settle()
        assert shut(system) == {False}

    assert [call["command_id"] for call in roll_calls(play(script, **USERS))] == ["halt", "resume"]


def test_a_cry_whose_command_was_lost_with_its_supervisor_is_ended_by_the_resume() -> None:
    async def script(system: LocalSystem) -> None:
        await system.bus.publish(channels.HALTS, encode(Cry(command_id="lost", target=HaltTarget())))
        await system.settle()
        assert shut(system) == {True}
        await system.send("RESUME_ALL", command_id="resume")
        await system.settle()
        assert shut(system) == {False}

    play(script, **USERS)
