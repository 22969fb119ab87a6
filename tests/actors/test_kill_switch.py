"""A host's kill switch: the cry shuts the gate at once, and an order that was decided before it is called off at the door."""

from __future__ import annotations

import asyncio

from actors.kill_switch import KillSwitch
from runtime.events import EventType, HaltTrading, ResumeTrading, SignalArrived
from runtime.halts import HaltScope, HaltTarget
from runtime.session import OnBreach
from tests.actors.floors import Crowd
from tests.builders import SUBSCRIPTION, at, signal

USER = HaltTarget(scope=HaltScope.USER, user_id="u1")


def halting(command_id: str = "h1", target: HaltTarget = USER) -> HaltTrading:
    return HaltTrading(ts=at("10:00"), command_id=command_id, reason="drill", target=target)


def resuming(command_id: str = "r1", target: HaltTarget = USER) -> ResumeTrading:
    return ResumeTrading(ts=at("10:00"), command_id=command_id, target=target)


def test_the_gate_shuts_with_the_cry_stays_shut_with_the_halt_and_opens_with_its_end() -> None:
    switch = KillSwitch()
    seen = [switch.forbids("u1", "k")]
    switch.hear(halting())
    seen.append(switch.forbids("u1", "k"))
    switch.turn(halting())
    seen.append(switch.forbids("u1", "k"))
    switch.turn(resuming())
    seen.append(switch.forbids("u1", "k"))
    assert seen == [False, True, True, False]
    assert not switch.forbids("u2", "k")


def test_a_cry_that_comes_after_its_halt_was_lifted_shuts_nothing() -> None:
    switch = KillSwitch()
    switch.turn(halting())
    switch.turn(resuming())
    switch.hear(halting())
    assert not switch.forbids("u1", "k")


def test_the_end_of_an_earlier_halt_does_not_open_the_gate_that_a_later_cry_has_shut() -> None:
    switch = KillSwitch()
    switch.turn(halting("h1"))
    switch.hear(halting("h2"))
    switch.turn(resuming("r1"))
    assert switch.forbids("u1", "k")
    switch.turn(halting("h2"))
    switch.turn(resuming("r2"))
    assert not switch.forbids("u1", "k")


async def test_an_entry_that_is_journaled_and_has_not_left_when_the_halt_is_heard_never_leaves() -> None:
    users = ["u1", "u2"]
    crowd = Crowd(users)
    await crowd.start()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run([(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in users]))
    await crowd.journal.asked.wait()
    [halted], [other] = (list(crowd.floor.traders[user].state.orders) for user in users)
    crowd.floor.kill_switch.hear(halting())
    crowd.journal.gate.set()
    await running

    assert not crowd.floor.desk._venue._exchange.knows(halted)
    assert crowd.floor.desk._venue._exchange.knows(other)
    states = [crowd.floor.traders[user].state for user in users]
    assert [(state.orders, len(state.open_positions)) for state in states] == [({}, 0), ({}, 1)]
    texts = [text for user, _, text in crowd.outbox._to_publish if user == "u1" and f'"{EventType.ORDER_CANCELLED}"' in text]
    assert [("halted before it was sent" in text) for text in texts] == [True]


async def test_an_exit_leaves_through_the_shut_gate() -> None:
    crowd = Crowd(["u1"])
    await crowd.start()
    await crowd.floor.run([("u1", SignalArrived(ts=at("10:00"), signal=signal()))])
    crowd.floor.kill_switch.hear(halting(target=HaltTarget()))
    crowd.floor.kill_switch.turn(halting(target=HaltTarget()))
    event = HaltTrading(ts=at("10:01"), command_id="h1", reason="drill", positions=OnBreach.CLOSE)
    await crowd.floor.run([("u1", event)])
    assert crowd.floor.traders["u1"].state.slots[SUBSCRIPTION.key].position is None
