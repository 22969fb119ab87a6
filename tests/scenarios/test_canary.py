"""A canary roll-out of a whole system, in one process and virtual time: the baseline is one program's signals, the candidate another's."""

from __future__ import annotations

from typing import Any

import pytest

from actors.local_system import LocalSystem
from actors.placement import Placement, PlacementKind
from actors.strategy_failures import note_failure
from runtime.events import PublicEvent
from runtime.rollouts import Rollout
from runtime.signal_engine import StrategyFailed
from runtime.strategy import strategy_key
from tests.builders import at
from tests.scenarios.test_published_signals import INDEX, KEY, answers, following, play, publish, sides

CANDIDATE = strategy_key("external", {"source": "candidate"}, INDEX, "1m")  # pyright: ignore[reportArgumentType]
NAMES = [f"u{number}" for number in range(8)]
USERS: dict[str, dict[str, Any]] = {name: following() for name in NAMES}
HALF = Rollout(baseline=KEY, candidate=CANDIDATE, share=0.5)
CANARIES = [name for name in NAMES if HALF.takes(name)]
OTHERS = [name for name in NAMES if name not in CANARIES]


async def start(system: LocalSystem, share: float = 0.5, **rollback_if: Any) -> None:
    data = {"strategy": KEY, "parameters": {"source": "candidate"}, "share": share, "rollback_if": rollback_if}
    await system.send("START_CANARY", data=data, command_id=f"start-{share}")
    await system.settle()


def changes(events: list[PublicEvent]) -> list[tuple[object, object]]:
    return [(event.data["state"], event.data["share"]) for event in events if event.type == "ROLLOUT_CHANGED"]


def entered(events: list[PublicEvent]) -> dict[str, list[object]]:
    return {name: [side for leg, side, _ in sides(events, name) if leg == "ENTRY"] for name in NAMES}


def test_a_share_of_the_followers_hears_the_candidate_the_others_the_baseline_and_after_the_abort_all_of_them() -> None:
    async def script(system: LocalSystem) -> None:
        await start(system)
        await publish(system, "buy", signalId="1")
        await publish(system, "sell", signalId="1", strategyId="candidate")
        await system.placer.restart("packed-0")  # the share is the same on every host and after every restart
        await publish(system, "flat", signalId="2")
        await publish(system, "flat", signalId="2", strategyId="candidate")
        await system.send("ABORT_CANARY", data={"strategy": KEY})
        await publish(system, "buy", signalId="3")
        await publish(system, "sell", signalId="3", strategyId="candidate")

    events = play(script, **USERS)
    assert CANARIES
    assert OTHERS
    assert entered(events) == {name: ["SELL", "BUY"] if name in CANARIES else ["BUY", "BUY"] for name in NAMES}
    assert changes(events) == [("running", 0.5), ("aborted", 0.5)]
    heard = [event.data for event in events if event.user_id == CANARIES[0] and event.type == "SIGNAL"]
    assert [(data["strategy_key"], data["context"].get("canary")) for data in heard] == [(KEY, CANDIDATE), (KEY, CANDIDATE), (KEY, None)]  # type: ignore[union-attr]


def test_a_promoted_candidate_is_heard_by_everybody_those_who_come_later_too() -> None:
    async def script(system: LocalSystem) -> None:
        await start(system)
        await system.send("PROMOTE_CANARY", data={"strategy": KEY})
        await system.settle()
        await system.send("START_TRADING", "late", following())
        await publish(system, "buy", signalId="1")
        await publish(system, "sell", signalId="1", strategyId="candidate")

    events = play(script, **USERS)
    assert entered(events) == {key: ["SELL"] for key in NAMES}
    assert [side for _, side, _ in sides(events, "late")] == ["SELL"]
    assert changes(events) == [("running", 0.5), ("promoted", 1.0)]


@pytest.mark.parametrize(
    ("rollback_if", "losing"),
    [
        ({"pnl_worse_by": 0.01, "min_trades": len(CANARIES)}, ["buy", "flat"]),
        ({"skip_rate": 0.5, "min_signals": len(CANARIES)}, ["flat"]),
    ],
    ids=["loses the spread while the baseline does nothing", "is skipped by everybody"],
)
def test_a_candidate_that_breaks_its_rule_is_rolled_back_by_itself(rollback_if: dict[str, Any], losing: list[str]) -> None:
    async def script(system: LocalSystem) -> None:
        await start(system, **rollback_if)
        for number, side in enumerate(losing):
            await publish(system, side, signalId=f"c{number}", strategyId="candidate")
        await system.clock.sleep(30)
        await publish(system, "buy", signalId="b1")
        kept = await system.store.get("rollouts", KEY)
        assert kept is not None
        assert (kept["state"], kept["groups"]["candidate"]["users"], kept["groups"]["baseline"]["users"]) == (
            "rolled_back",
            len(CANARIES),
            len(OTHERS),
        )

    events = play(script, **USERS)
    assert changes(events) == [("running", 0.5), ("rolled_back", 0.5)]
    last = {name: sides(events, name)[-1][1] for name in NAMES}
    assert last == dict.fromkeys(NAMES, "BUY")  # the baseline's signal reaches everybody again


def test_a_candidate_within_its_rule_goes_on_until_there_are_enough_trades_to_judge_it() -> None:
    async def script(system: LocalSystem) -> None:
        await start(system, pnl_worse_by=0.01, min_trades=len(CANARIES) + 1)
        for number, side in enumerate(["buy", "flat"]):
            await publish(system, side, signalId=f"c{number}", strategyId="candidate")
        await system.clock.sleep(30)

    assert changes(play(script, **USERS)) == [("running", 0.5)]


def test_a_candidate_that_fails_is_rolled_back() -> None:
    async def script(system: LocalSystem) -> None:
        await start(system)
        await note_failure(
            system.store, StrategyFailed(key=CANDIDATE, candle_time=at("09:20"), error="ZeroDivisionError: division by zero")
        )
        await system.clock.sleep(30)

    events = play(script, **USERS)
    assert changes(events) == [("running", 0.5), ("rolled_back", 0.5)]
    [reason] = [event.data["reason"] for event in events if event.type == "ROLLOUT_CHANGED" and event.data["state"] == "rolled_back"]
    assert reason == "the candidate failed: ZeroDivisionError: division by zero"


def test_a_roll_out_survives_its_hosts_and_what_makes_no_sense_is_refused() -> None:
    async def script(system: LocalSystem) -> None:
        await start(system, share=0.25)
        await start(system, share=0.75)  # one at a time
        for action, data in (
            ("START_CANARY", {"strategy": "ema_cross:X:1m:00000000", "parameters": {}}),
            ("PROMOTE_CANARY", {"strategy": "ema_cross:X:1m:00000000"}),
        ):
            await system.send(action, data=data)
        await system.send("ABORT_CANARY", data={"strategy": KEY}, command_id="abort")
        await system.settle()
        await system.send("START_CANARY", data={"strategy": KEY, "parameters": {"source": "alerts"}})  # its own parameters
        await system.placer.kill("packed-0")
        await system.placer.ensure(Placement("packed-0", PlacementKind.PACKED))

    events = play(script, **USERS)
    said = [(answer["action"], answer.get("state") or answer.get("reason")) for answer in answers(events)]
    assert said == [
        ("START_CANARY", "running"),
        ("START_CANARY", "invalid"),
        ("START_CANARY", "unknown_strategy"),
        ("PROMOTE_CANARY", "no_rollout"),
        ("ABORT_CANARY", "aborted"),
        ("START_CANARY", "invalid"),
    ]
