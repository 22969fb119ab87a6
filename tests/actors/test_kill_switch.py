"""A host's kill switch: the cry shuts the gate at once, and an order that was decided before it is called off at the door."""

from __future__ import annotations

import asyncio

from actors.kill_switch import KillSwitch
from actors.trading_floor import SENT_AT_ONCE
from actors.wire import Cry, Hush
from runtime.events import EventType, HaltTrading, ResumeTrading, SignalArrived
from runtime.halts import HaltScope, HaltTarget
from runtime.session import OnBreach
from tests.actors.floors import Crowd
from tests.builders import SUBSCRIPTION, at, signal

USER = HaltTarget(scope=HaltScope.USER, user_id="u1")


def halting(command_id: str = "h1", target: HaltTarget = USER) -> HaltTrading:
    return HaltTrading(ts=at("10:00"), command_id=command_id, reason="drill", target=target)


def cry(command_id: str = "h1", target: HaltTarget = USER) -> Cry:
    return Cry(command_id=command_id, target=target)


def resuming(command_id: str = "r1", target: HaltTarget = USER) -> ResumeTrading:
    return ResumeTrading(ts=at("10:00"), command_id=command_id, target=target)


def test_the_gate_shuts_with_the_cry_stays_shut_with_the_halt_and_opens_with_its_end() -> None:
    switch = KillSwitch()
    seen = [switch.forbids("u1", "k")]
    switch.hear(cry())
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
    switch.hear(cry())
    assert not switch.forbids("u1", "k")


def test_the_end_of_an_earlier_halt_does_not_open_the_gate_that_a_later_cry_has_shut() -> None:
    switch = KillSwitch()
    switch.turn(halting("h1"))
    switch.hear(cry("h2"))
    switch.turn(resuming("r1"))
    assert switch.forbids("u1", "k")
    switch.turn(halting("h2"))
    switch.turn(resuming("r2"))
    assert not switch.forbids("u1", "k")


def test_a_hushed_cry_opens_the_gate_and_leaves_the_others_shut() -> None:
    switch = KillSwitch()
    switch.hear(cry("h1"))
    switch.hear(cry("h2", HaltTarget(scope=HaltScope.USER, user_id="u2")))
    switch.hear(Hush(command_id="h1"))
    assert [switch.forbids(user, "k") for user in ("u1", "u2")] == [False, True]
    switch.hear(cry("h3"))
    switch.hear(cry("h4"))
    switch.hear(Hush(target=USER))
    assert [switch.forbids(user, "k") for user in ("u1", "u2")] == [False, True]


def test_a_hush_lifts_no_halt_that_came_by_the_inbox() -> None:
    switch = KillSwitch()
    switch.turn(halting("h1"))
    switch.hear(Hush(command_id="h1"))
    switch.hear(Hush(target=USER))
    assert switch.forbids("u1", "k")


async def test_a_halt_is_heard_in_the_middle_of_a_batch_that_is_leaving() -> None:
    users = [f"u{number:03d}" for number in range(4 * SENT_AT_ONCE)]
    crowd = Crowd(users)
    await crowd.start()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run([(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in users]))
    await crowd.journal.asked.wait()
    orders = [next(iter(crowd.floor.traders[user].state.orders)) for user in users]
    exchange = crowd.floor.desk._venue._exchange

    async def halt_once_the_first_are_out() -> list[bool]:
        while not exchange.knows(orders[0]):  # noqa: ASYNC110 - it steps beside the loop under test
            await asyncio.sleep(0)
        crowd.floor.kill_switch.hear(cry(target=HaltTarget()))
        return [exchange.knows(order) for order in orders]

    halting_task = asyncio.create_task(halt_once_the_first_are_out())
    crowd.journal.gate.set()
    await running
    out = await halting_task
    assert SENT_AT_ONCE <= sum(out) <= 2 * SENT_AT_ONCE
    assert sum(len(trader.state.open_positions) for trader in crowd.floor.traders.values()) == sum(out)


async def test_an_entry_that_is_journaled_and_has_not_left_when_the_halt_is_heard_never_leaves() -> None:
    users = ["u1", "u2"]
    crowd = Crowd(users)
    await crowd.start()
    crowd.journal.gate.clear()
    crowd.journal.asked.clear()
    running = asyncio.create_task(crowd.floor.run([(user, SignalArrived(ts=at("10:00"), signal=signal())) for user in users]))
    await crowd.journal.asked.wait()
    [halted], [other] = (list(crowd.floor.traders[user].state.orders) for user in users)
    crowd.floor.kill_switch.hear(cry())
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
    crowd.floor.kill_switch.hear(cry(target=HaltTarget()))
    crowd.floor.kill_switch.turn(halting(target=HaltTarget()))
    event = HaltTrading(ts=at("10:01"), command_id="h1", reason="drill", positions=OnBreach.CLOSE)
    await crowd.floor.run([("u1", event)])
    assert crowd.floor.traders["u1"].state.slots[SUBSCRIPTION.key].position is None
