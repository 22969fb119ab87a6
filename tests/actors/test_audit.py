"""Every decision has its record and its explanation, out of a journal that a real trader wrote."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from actors.explain import Explanation
from actors.projection import ORDER_IDS, project
from adapters.memory import MemoryStore
from runtime.events import (
    EngineInput,
    HaltTrading,
    PauseSession,
    PauseSubscription,
    PriceTouched,
    PublicEvent,
    SignalArrived,
    SquareOff,
    StopSession,
    TimeAdvanced,
)
from runtime.halts import HaltScope, HaltTarget
from runtime.orders import Leg, OrderCancelled, OrderRejected
from runtime.session import OnBreach, Protection, SessionConfig, Sizing, SizingMethod
from runtime.signals import Side, Signal
from tests.actors.audited_day import Day
from tests.builders import SUBSCRIPTION, at, config, option, signal

_decode_event = msgspec.json.Decoder(PublicEvent).decode


def titles(explanation: Explanation) -> list[str]:
    """What happened after the signal reached the trader."""
    steps = explanation.steps
    return [step.title for step in steps[[step.stage for step in steps].index("user") + 1 :]]


LONG, SHORT, FLAT = signal(Side.LONG, "10:00"), signal(Side.SHORT, "10:10"), signal(Side.FLAT, "10:10")


async def entered(settings: SessionConfig | None = None) -> Day:
    day = Day(settings)
    await day.arrives(LONG)
    for entry in list(day.orders):
        await day.fills(entry, 100, "10:00")
    return day


async def test_an_entry_is_recorded_with_both_sides_its_rule_and_the_time_since_the_candle_closed() -> None:
    day = Day()
    late = signal(Side.LONG, "10:00")
    await day.lives(SignalArrived(ts=at("10:00:01.250"), signal=late))

    record = day.records("execution_logs")[f"u1:{late.signal_id}"]

    assert day.decided(late) == ("FLAT", "LONG", "ENTER", "momentum")
    assert record["latency_ms"] == 1250.0
    assert {"signal_id", "strategy_key", "user_id", "detail", "ts"} <= record.keys()


@pytest.mark.parametrize(
    ("then", "decision"),
    [
        (FLAT, ("LONG", "FLAT", "EXIT", "momentum")),
        (SHORT, ("LONG", "SHORT", "REVERSE", "momentum")),
        (signal(Side.LONG, "10:10"), ("LONG", "LONG", "SKIP", "same_side")),
    ],
)
async def test_what_a_holder_decides_is_recorded(then: Signal, decision: tuple[str, ...]) -> None:
    day = await entered()
    await day.arrives(then)
    assert day.decided(then) == decision


PAUSE = PauseSession(ts=at("10:11"), command_id="p")
MINE = HaltTarget(scope=HaltScope.SUBSCRIPTION, user_id="u1", strategy=SUBSCRIPTION.key)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (PAUSE, "paused"),
        (PauseSubscription(ts=at("10:11"), command_id="p", key=SUBSCRIPTION.key), "paused"),
        (StopSession(ts=at("10:11"), command_id="p"), "not_running"),
        (SquareOff(ts=at("10:11"), command_id="p"), "superseded"),
        (HaltTrading(ts=at("10:11"), command_id="p", reason="drill"), "halted"),
    ],
)
async def test_a_target_that_waits_and_is_dropped_is_told_recorded_and_explained(command: EngineInput, reason: str) -> None:
    day = await entered()
    await day.arrives(SHORT)  # the close is in flight, the entry waits for it
    await day.lives(command)

    assert day.decided(SHORT) == ("LONG", "SHORT", "SKIP", reason)
    assert f"refused: {reason}" in titles(await day.explains(SHORT))


async def test_a_target_behind_an_order_in_flight_waits_and_says_so() -> None:
    day = Day()
    await day.arrives(LONG)
    await day.arrives(SHORT)
    assert day.decided(SHORT) == ("FLAT", "SHORT", "WAIT", "momentum")
    assert "order_ids" not in day.records("execution_logs")[f"u1:{SHORT.signal_id}"]
    assert (await day.explains(SHORT)).steps[-1].title == "reached the trader, waits for an order in flight"


async def test_a_target_that_waited_is_decided_on_what_it_finds_and_names_its_orders() -> None:
    """LONG is on its way when SHORT comes at 10:10:00; the fill at 10:10:30.5 makes SHORT a reversal."""
    day = Day()
    await day.arrives(LONG)
    await day.arrives(SHORT)
    await day.fills(day.orders[0], 100, "10:10:30.500")
    record = day.records("execution_logs")[f"u1:{SHORT.signal_id}"]

    assert day.decided(SHORT) == ("LONG", "SHORT", "REVERSE", "momentum")
    assert record["latency_ms"] == 30_500.0
    assert record["position_id"] == day.orders[0].order_id
    assert record["order_ids"] == day.sent(Leg.EXIT)

    await day.fills(day.orders[1], 90, "10:10:31")
    assert day.decided(SHORT) == ("LONG", "SHORT", "REVERSE", "momentum")
    assert day.records("execution_logs")[f"u1:{SHORT.signal_id}"]["order_ids"] == [*day.sent(Leg.EXIT), day.orders[2].order_id]
    assert titles(await day.explains(SHORT))[0] == "decided: REVERSE"


@pytest.mark.parametrize(
    ("ends", "second", "decision"),
    [
        ("fill", FLAT, ("LONG", "FLAT", "EXIT", "momentum")),
        ("fill", signal(Side.LONG, "10:10"), ("LONG", "LONG", "SKIP", "same_side")),
        ("reject", SHORT, ("FLAT", "SHORT", "ENTER", "momentum")),
        ("reject", FLAT, ("FLAT", "FLAT", "SKIP", "flat")),
        ("late reject", SHORT, ("FLAT", "SHORT", "SKIP", "stale")),
    ],
)
async def test_whatever_ends_the_order_in_flight_the_target_behind_it_is_resolved(
    ends: str, second: Signal, decision: tuple[str, ...]
) -> None:
    day = Day()
    await day.arrives(LONG)
    await day.arrives(second)
    if ends == "fill":
        await day.fills(day.orders[0], 100, "10:10:01")
    else:  # a signal is good for 90 seconds
        then = at("10:11:31") if ends == "late reject" else at("10:11:30")
        await day.lives(OrderRejected(ts=then, order_id=day.orders[0].order_id, reason="margin"))
    record = day.records("execution_logs")[f"u1:{second.signal_id}"]
    assert day.decided(second) == decision
    assert record["rule"] == "momentum"
    assert bool(record.get("order_ids")) == (decision[2] != "SKIP")


async def test_a_target_that_waits_is_superseded_by_a_newer_one() -> None:
    day = Day()
    newer = signal(Side.FLAT, "10:11")
    for each in (LONG, SHORT, newer):
        await day.arrives(each)
    assert day.decided(SHORT) == ("FLAT", "SHORT", "SKIP", "superseded")
    assert day.records("execution_logs")[f"u1:{SHORT.signal_id}"]["detail"] == f"by {newer.signal_id}"
    assert day.decided(newer)[2] == "WAIT"


async def test_an_entry_names_all_its_slices_and_an_exit_that_is_sent_again_both_tries() -> None:
    day = Day(config(sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))))
    sliced = signal(Side.LONG, "10:00", instrument=option(freeze=30))
    await day.arrives(sliced)
    for entry in list(day.orders):
        await day.fills(entry, 100, "10:00:01")
    await day.arrives(FLAT)
    first = day.orders[-1]
    await day.lives(OrderRejected(ts=at("10:10"), order_id=first.order_id, reason="margin"), TimeAdvanced(ts=at("10:10:01")))

    records = day.records("execution_logs")
    assert records[f"u1:{sliced.signal_id}"]["order_ids"] == day.sent(Leg.ENTRY)
    assert records[f"u1:{FLAT.signal_id}"]["order_ids"] == day.sent(Leg.EXIT)
    assert (len(day.sent(Leg.ENTRY)), len(day.sent(Leg.EXIT))) == (2, 3)


async def test_a_stop_is_nobodys_decision_and_the_exit_of_a_signal_that_waits_for_its_legs_is_the_signals() -> None:
    day = await entered(config(protection=Protection(at_broker=True)))
    await day.arrives(FLAT)  # stop and target are called off first
    assert day.sent(Leg.EXIT) == []
    for leg in (Leg.STOP, Leg.TARGET):
        await day.lives(OrderCancelled(ts=at("10:10:02"), order_id=day.sent(leg)[0]))

    records = day.records("execution_logs")
    assert records[f"u1:{FLAT.signal_id}"]["order_ids"] == day.sent(Leg.EXIT)
    assert records[f"u1:{LONG.signal_id}"]["order_ids"] == day.sent(Leg.ENTRY)
    said = titles(await day.explains(FLAT))
    assert [title.split(":")[0] for title in said] == ["cancelled", "cancelled", "submitted"]


async def test_orders_sent_after_their_decision_was_written_are_added_to_its_record() -> None:
    """Projected event by event, as a host does that has time, against all at once."""
    day = await entered()
    await day.arrives(SHORT)
    await day.fills(day.orders[1], 90, "10:10:01")
    store = MemoryStore()
    for text in day.texts:
        begun, changed, sent = project([_decode_event(text)])
        await store.insert_new("execution_logs", begun["execution_logs"])
        await store.upsert("execution_logs", changed["execution_logs"])
        await store.add_to_sets("execution_logs", ORDER_IDS, sent)

    assert {each["_id"]: each["order_ids"] for each in await store.find("execution_logs", {})} == {
        key: record["order_ids"] for key, record in day.records("execution_logs").items()
    }


async def test_a_reversal_that_may_not_enter_says_nothing_of_the_position_that_goes_on() -> None:
    day = await entered()
    await day.lives(PauseSession(ts=at("10:09"), command_id="p"))
    await day.arrives(SHORT)
    await day.lives(PriceTouched(ts=at("10:12"), slot=SUBSCRIPTION.key, instrument=option().id, price=79.0))
    assert titles(await day.explains(SHORT)) == ["refused: paused"]


@pytest.mark.parametrize(
    ("before", "settings", "what", "reason"),
    [
        ([PauseSession(ts=at("09:50"), command_id="p")], config(), LONG, "paused"),
        ([HaltTrading(ts=at("09:50"), command_id="p", reason="drill")], config(), LONG, "halted"),
        ([HaltTrading(ts=at("09:50"), command_id="p", reason="drill", target=MINE)], config(), LONG, "halted"),
        ([], config(), FLAT, "flat"),
        ([], config(capital=Decimal(1), sizing=Sizing(method=SizingMethod.FIXED_RISK)), LONG, "size_zero"),
        ([], config(), signal(Side.LONG, "10:00", contract_price=None, contract_ask=None, contract_bid=None), "invalid"),
        ([], config(sizing=Sizing(method=SizingMethod.VOLATILITY_TARGET)), LONG, "no_atr"),
        ([], config(), signal(Side.LONG, "20:00"), "market_closed"),
    ],
)
async def test_each_guard_that_refuses_is_recorded_and_explained(
    before: list[EngineInput], settings: SessionConfig, what: Signal, reason: str
) -> None:
    day = Day(settings)
    await day.lives(*before)
    await day.arrives(what)
    assert day.decided(what) == ("FLAT", what.side, "SKIP", reason)
    assert titles(await day.explains(what)) == [f"refused: {reason}"]


async def test_a_rejected_entry_is_explained_with_the_brokers_words() -> None:
    day = Day()
    await day.arrives(LONG)
    await day.lives(OrderRejected(ts=at("10:00"), order_id=day.orders[0].order_id, reason="margin"))
    last = (await day.explains(LONG)).steps[-1]
    assert (last.title.split(":")[0], last.details["reason"]) == ("rejected", "margin")


async def test_slices_are_explained_one_by_one_behind_one_look_at_guards_and_size() -> None:
    day = Day(config(sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(60))))
    await day.arrives(signal(Side.LONG, "10:00", instrument=option(freeze=30)))
    steps = (await day.explains(LONG)).steps
    assert [step.stage for step in steps[5:]] == ["guards", "size", "order", "order"]


async def test_a_halt_that_closes_the_position_is_part_of_its_story() -> None:
    day = await entered()
    await day.lives(HaltTrading(ts=at("10:05"), command_id="h", reason="drill", positions=OnBreach.CLOSE, target=MINE))
    await day.fills(day.orders[-1], 99, "10:05")

    steps = (await day.explains(LONG)).steps

    assert [step.details["scope"] for step in steps if step.stage == "halt"] == ["subscription"]
    assert steps[-1].details["exit_reason"] == "RISK_HALT"


async def test_a_halt_after_the_end_is_not() -> None:
    day = await entered()
    await day.arrives(FLAT)
    await day.fills(day.orders[-1], 105, "10:10")
    await day.lives(HaltTrading(ts=at("10:20"), command_id="h", reason="drill"))
    assert "halt" not in [step.stage for step in (await day.explains(LONG)).steps]


async def test_a_stop_is_explained_with_the_price_that_touched_it() -> None:
    day = await entered()
    await day.lives(PriceTouched(ts=at("10:05"), slot=SUBSCRIPTION.key, instrument=option().id, price=79.0))
    [alert] = [step for step in (await day.explains(LONG)).steps if step.stage == "exit"]
    assert (alert.title, alert.details["touched_at"]) == ("SL is due at 79.0", 79.0)


async def test_a_fill_after_the_cancel_is_explained_with_the_close_that_undoes_it() -> None:
    day = Day()
    await day.arrives(LONG)
    await day.lives(PauseSession(ts=at("10:01"), command_id="p"), OrderCancelled(ts=at("10:01"), order_id=day.orders[0].order_id))
    await day.fills(day.orders[0], 100, "10:02")

    steps = (await day.explains(LONG)).steps

    said = [(step.stage, step.title.split(":")[0]) for step in steps[7:]]
    assert ("order", "cancelled") in said
    assert said.index(("order", "cancelled")) < [stage for stage, _ in said].index("fill")
    assert day.orders[-1].leg is Leg.EXIT
    assert steps[-1].details["leg"] == "EXIT"


async def test_every_message_of_an_order_has_its_record() -> None:
    day = await entered()
    [entry] = day.orders
    found = [log for log in day.records("order_logs").values() if log["order_id"] == entry.order_id]
    assert [(log["message"], log["ts"]) for log in found] == [("SUBMIT", at("10:00")), ("FILLED", at("10:00"))]
    assert found[1]["price"] == "100"
