"""The published schemas against what the engine really says, and against the files in docs."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema
import msgspec
import pytest

from runtime.commands import Action
from runtime.engine import TradingEngine
from runtime.events import (
    AcceptCommand,
    Announce,
    EngineInput,
    EventType,
    HaltTrading,
    Heartbeat,
    PauseSession,
    PriceTouched,
    PublicEvent,
    Publish,
    RejectCommand,
    RepeatCommand,
    ReportStatus,
    ResumeSession,
    ResumeTrading,
    SessionRecovered,
    SignalArrived,
    StartSession,
    StopSession,
    SubmitOrder,
    UpdateConfig,
)
from runtime.market import Instrument, InstrumentKind, Right, Timeframe
from runtime.orders import OrderAccepted, OrderCancelled, OrderFilled, OrderRejected, OrderUnknown
from runtime.outages import BrokerChanged, FeedChanged, StoreChanged
from runtime.schemas import event_fields, event_schema, schemas
from runtime.session import Level, LevelUnit, Protection, SessionConfig, Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.state import EngineState

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
CALL = Instrument(
    id="NSE:BANKNIFTY26NOV52000CE",
    kind=InstrumentKind.OPTION,
    lot_size=Decimal(30),
    underlying="NSE:BANKNIFTY",
    expiry=date(2026, 11, 24),
    strike=52000,
    right=Right.CALL,
)
OPEN = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
SUBSCRIPTION = Subscription(protection=Protection(trail=Level(value=Decimal(10), unit=LevelUnit.POINTS)))


def signal(minute: int) -> Signal:
    ts = OPEN + timedelta(minutes=minute)
    return Signal(
        signal_id=f"s-{minute}",
        strategy_key=SUBSCRIPTION.key,
        strategy=SUBSCRIPTION.strategy,
        underlying="NSE:BANKNIFTY",
        timeframe=Timeframe.M1,
        side=Side.LONG,
        direction="BUY_CALL",
        rule="orb",
        reason="close above the opening range",
        price=52011.5,
        instrument=CALL,
        entry_side=OrderSide.BUY,
        contract_price=300.0,
        stop=290.0,
        target=330.0,
        candle_time=ts - timedelta(minutes=1),
        ts=ts,
        context={"ema_fast": 52000.25, "vwap": None, "note": "volume filter off"},
    )


class Day:
    """A session driven input by input, collecting everything its user hears."""

    def __init__(self) -> None:
        self.engine = TradingEngine(EngineState(user_id="123"))
        self.events: list[PublicEvent] = []
        self.orders: list[str] = []

    def take(self, event: EngineInput) -> None:
        for effect in self.engine.process(event):
            match effect:
                case Publish(event=public):
                    self.events.append(public)
                case SubmitOrder(order=order):
                    self.orders.append(order.order_id)
                case _:
                    pass

    def fill(self, minute: int, price: str, quantity: int = 10**9, fill_id: str = "f") -> None:
        order = self.orders[-1]
        self.take(OrderFilled(ts=at(minute), order_id=order, fill_id=fill_id, quantity=Decimal(quantity), price=Decimal(price)))


def at(minute: int) -> datetime:
    return OPEN + timedelta(minutes=minute)


ROLL: dict[str, object] = {
    "command_id": "c4",
    "halted": True,
    "scope": "subscription",
    "of_user": "u1",
    "strategy": "ema_cross",
    "hosts": 2,
    "acknowledged": 1,
    "traders": 40,
    "missing": ["packed-1"],
    "complete": False,
    "seconds": 2.003,
}


CHANGE: dict[str, object] = {
    "baseline": "ema_cross:NSE:BANKNIFTY:1m:0e8c9e7d",
    "candidate": "ema_cross:NSE:BANKNIFTY:1m:5f0c2a9b",
    "share": 0.1,
    "state": "rolled_back",
    "reason": "the candidate failed",
}


def eventful_day() -> list[PublicEvent]:
    day = Day()
    config = SessionConfig(subscriptions=(SUBSCRIPTION,))
    day.take(StartSession(ts=OPEN, command_id="c1", config=config))
    day.take(SignalArrived(ts=at(1), signal=signal(1)))
    day.take(OrderAccepted(ts=at(1), order_id=day.orders[-1], broker_order_id="b1"))
    day.fill(1, "300.00", 30, "f1")
    day.fill(1, "301.00")
    day.take(SignalArrived(ts=at(2), signal=signal(2)))
    day.take(ReportStatus(ts=at(2), command_id="c2"))
    day.take(PriceTouched(ts=at(3), slot=SUBSCRIPTION.key, instrument=CALL.id, price=312.0))
    day.take(PriceTouched(ts=at(4), slot=SUBSCRIPTION.key, instrument=CALL.id, price=250.0))
    day.fill(4, "250.00", 30, "f1")
    day.fill(4, "250.00")
    day.take(ResumeSession(ts=at(5), command_id="c3"))
    for minute, outcome in ((6, OrderRejected), (7, OrderUnknown), (8, OrderCancelled)):
        day.take(SignalArrived(ts=at(minute), signal=signal(minute)))
        day.take(outcome(ts=at(minute), order_id=day.orders[-1], reason="margin"))
    closing: tuple[EngineInput, ...] = (
        Heartbeat(ts=at(9), last_tick_age_seconds=None),
        FeedChanged(ts=at(9), up=False, reason="silent"),
        FeedChanged(ts=at(9), up=True),
        BrokerChanged(ts=at(9), up=False, reason="502"),
        BrokerChanged(ts=at(9), up=True),
        StoreChanged(ts=at(9), up=False, reason="no answer"),
        StoreChanged(ts=at(9), up=True),
        HaltTrading(ts=at(9), command_id="c4", reason="drill"),
        ResumeTrading(ts=at(9), command_id="c5"),
        PauseSession(ts=at(9), command_id="c6"),
        UpdateConfig(ts=at(9), command_id="c7", config=config),
        SessionRecovered(ts=at(9), epoch=2),
        AcceptCommand(ts=at(9), command_id="c8", action="HALT_ALL", detail={"hosts": 2}),
        RejectCommand(ts=at(9), command_id="c9", action="X", field="action", reason="unknown_action", detail="must be one of …"),
        RepeatCommand(ts=at(9), command_id="c3", accepted=True, outcome={"command_id": "c3", "action": "RESUME_TRADING"}),
        Announce(ts=at(9), event_type=EventType.ROLL_CALL, data=ROLL),
        Announce(ts=at(9), event_type=EventType.HOST_DRAINED, data={"command_id": "c11", "host": "packed-0", "users": 3}),
        Announce(ts=at(9), event_type=EventType.ROLLOUT_CHANGED, data=CHANGE),
        StopSession(ts=at(9), command_id="c10"),
    )
    for event in closing:
        day.take(event)
    return day.events


def test_everything_an_engine_says_agrees_with_its_schema_and_names_no_field_it_does_not_list() -> None:
    events = eventful_day()

    assert {event.type for event in events} == set(EventType)
    for event in events:
        document = json.loads(msgspec.json.encode(event))
        jsonschema.validate(document, event_schema(event.type), jsonschema.Draft202012Validator)
        assert document["data"].keys() <= event_fields(event.type).keys(), event.type


@pytest.mark.parametrize("event_type", list(EventType))
def test_each_event_schema_is_valid_and_wants_its_required_fields(event_type: EventType) -> None:
    schema = event_schema(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    empty = {"v": 1, "event_id": "1", "seq": 1, "type": event_type, "user_id": "1", "ts": "2026-11-20T09:31:00+05:30", "data": {}}
    assert not jsonschema.Draft202012Validator(schema).is_valid(empty)


def test_there_is_a_schema_for_every_action_and_event_type() -> None:
    assert schemas().keys() == {f"commands/{action}.json" for action in Action} | {f"events/{kind}.json" for kind in EventType}


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    written = {str(file.relative_to(DOCS)): json.loads(file.read_text("utf-8")) for file in DOCS.rglob("*.json")}
    assert written == schemas(), "run `shoal schema --out docs/schemas`"
