"""Explanations of a day that was really traded: simulated venue, memory servers, virtual time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from actors.explain import Explanation, explain
from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from adapters.memory import MemoryJournal, MemoryStore
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime.errors import InvalidInput
from runtime.events import EventType, PublicEvent
from tests.builders import DAY

EAGER, PATIENT = "123", "456"
"""One takes every signal, the other waits 15 minutes between entries."""


class Traded(NamedTuple):
    journal: MemoryJournal
    store: MemoryStore
    events: list[PublicEvent]

    def of(self, user_id: str) -> list[PublicEvent]:
        return [event for event in self.events if event.user_id == user_id]

    def signals_of(self, kind: EventType, *, user_id: str = EAGER, **data: str) -> list[str]:
        return [str(event.data["signal_id"]) for event in self.of(user_id) if event.type is kind and data.items() <= event.data.items()]

    async def explain(self, signal_id: str, user_id: str = EAGER) -> Explanation:
        return await explain(self.journal, self.store, user_id, signal_id)


@pytest.fixture(scope="module")
def day() -> Traded:
    async def trade() -> Traded:
        market = SimulatedMarket(SimulationConfig(sessions=[DAY]))
        async with LocalSystem(market, VirtualClock(datetime(2026, 11, 20, 3, 40, tzinfo=UTC))) as system:
            await system.send("START_TRADING", EAGER, {"risk": {"max_daily_loss": None}})
            await system.send("START_TRADING", PATIENT, {"risk": {"max_daily_loss": None}, "cooldown_minutes": 15})
            await system.settle()
            await system.play()
            return Traded(system.journal, system.store, await system.events())

    return run_virtual(trade())


def stages(explanation: Explanation) -> list[str]:
    return [step.stage for step in explanation.steps]


async def test_a_trade_is_explained_from_its_candle_to_its_stop(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.POSITION_CLOSED, exit_reason="SL")

    explanation = await day.explain(signal_id)

    found = stages(explanation)
    entered = found[found.index("guards") :]
    assert found[:5] == ["ticks", "candle", "rules", "signal", "user"]
    assert list(dict.fromkeys(entered)) == ["guards", "size", "order", "fill", "position", "exit"]
    assert entered[-3:] == ["order", "fill", "position"]
    assert explanation.steps[-1].details["exit_reason"] == "SL"


async def test_each_step_names_the_public_event_it_comes_from(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.POSITION_CLOSED, exit_reason="SL")
    published = {event.seq: event for event in day.of(EAGER)}

    explanation = await day.explain(signal_id)

    said = [step for step in explanation.steps if step.seq is not None]
    assert all(published[step.seq].ts == step.ts for step in said if step.seq is not None)
    assert [step.seq for step in said] == sorted(step.seq for step in said if step.seq is not None)
    mentioned = {event.seq for event in day.of(EAGER) if event.data.get("signal_id") == signal_id}
    assert mentioned <= {step.seq for step in said}


async def test_the_rule_values_are_those_of_the_signal_event_and_the_candle_is_the_one_that_decided(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.POSITION_OPENED)
    [event] = [event for event in day.of(EAGER) if event.type is EventType.SIGNAL and event.data["signal_id"] == signal_id]

    by_stage = {step.stage: step for step in (await day.explain(signal_id)).steps}

    assert by_stage["rules"].details == event.data["context"]
    assert by_stage["candle"].details["close"] == event.data["price"]
    assert by_stage["signal"].details["reason"] == event.data["reason"]


async def test_the_size_step_holds_what_the_size_was_computed_from(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.POSITION_OPENED)
    [size] = [step for step in (await day.explain(signal_id)).steps if step.stage == "size"]
    assert size.details["capital"] == "500000"
    assert size.details["risk_per_trade"] == "0.01"
    assert {"contract_price", "stop", "lot_size", "method"} <= size.details.keys()


async def test_a_refused_signal_ends_at_the_guard_that_refused_it(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.SIGNAL_SKIPPED, user_id=PATIENT, reason="cooldown")

    steps = (await day.explain(signal_id, PATIENT)).steps

    assert (steps[-1].stage, steps[-1].title) == ("guards", "refused: cooldown")
    assert "cooldown 0:15:00" in steps[-1].details["detail"]


async def test_a_reversal_shows_the_position_it_closed_first(day: Traded) -> None:
    [closed, *_] = [
        event for event in day.of(EAGER) if event.data.get("exit_reason") == "REVERSAL" and event.type is EventType.POSITION_CLOSED
    ]
    [cause, *_] = [event for event in reversed(day.of(EAGER)) if event.type is EventType.SIGNAL and event.seq < closed.seq]

    steps = (await day.explain(str(cause.data["signal_id"]))).steps

    assert closed.seq in {step.seq for step in steps}


async def test_part_of_an_id_is_enough_if_only_one_signal_has_it(day: Traded) -> None:
    [signal_id, *_] = day.signals_of(EventType.POSITION_OPENED)
    assert (await day.explain(signal_id.rpartition(":")[2])).signal_id == signal_id


@pytest.mark.parametrize(
    ("wanted", "message"), [("no-such", "user '123' has no such signal; the newest are index_options"), ("index", r"fits \d+ signals")]
)
async def test_an_id_that_does_not_name_one_signal_lists_some_that_exist(day: Traded, wanted: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await day.explain(wanted)


async def test_a_user_without_signals_is_told_so(day: Traded) -> None:
    with pytest.raises(InvalidInput, match="no signal has reached this user"):
        await explain(day.journal, day.store, "nobody", "x")
