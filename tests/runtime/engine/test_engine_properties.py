"""Random but legal days: whatever the broker, the market and the user do, the books stay true."""

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine import TradingEngine
from runtime.events import (
    CancelOrder,
    EngineInput,
    HaltTrading,
    PauseSession,
    PriceTouched,
    PublicEvent,
    Publish,
    ResumeSession,
    ResumeTrading,
    SignalArrived,
    SquareOff,
    StartSession,
    StopSession,
    SubmitOrder,
    TimeAdvanced,
)
from runtime.orders import Leg, Order, OrderAccepted, OrderCancelled, OrderEvent, OrderFilled, OrderRejected, OrderUnknown
from runtime.session import OnBreach
from runtime.signals import OrderSide, Side
from runtime.state import EngineState, encode_state
from tests.builders import SUBSCRIPTION, at, config, signal

MOVES = st.sampled_from(
    [
        "long",
        "short",
        "flat",
        "price",
        "accept",
        "fill",
        "part",
        "reject",
        "unknown",
        "cancelled",
        "repeat",
        "clock",
        "pause",
        "resume",
        "halt",
        "unhalt",
        "square",
        "stop",
        "close",
        "start",
    ]
)


class Day:
    """Drives one engine and keeps an independent ledger of what a broker would have seen."""

    def __init__(self) -> None:
        self.engine = TradingEngine(EngineState(user_id="u1"))
        self.now = at("09:15")
        self.inputs: list[EngineInput] = []
        self.events: list[PublicEvent] = []
        self.submitted: dict[str, Order] = {}
        self.open: list[str] = []
        self.filled: dict[str, Decimal] = {}
        self.news: list[OrderEvent] = []
        self.net = Decimal(0)
        self.cash = Decimal(0)
        self.halted_at: datetime | None = None

    def process(self, event: EngineInput) -> None:
        self.inputs.append(event)
        for effect in self.engine.process(event):
            match effect:
                case Publish(event=public):
                    self.events.append(public)
                case SubmitOrder(order=order):
                    assert order.order_id not in self.submitted, "an order id was used twice"
                    assert self.allowed(order), "an entry left after STOP or HALT"
                    self.submitted[order.order_id] = order
                    self.open.append(order.order_id)
                    self.filled[order.order_id] = Decimal(0)
                case CancelOrder(order_id=order_id):
                    assert order_id in self.submitted
                case _:
                    pass

    def allowed(self, order: Order) -> bool:
        state = self.engine.state
        return order.reduce_only or (state.status == "RUNNING" and state.platform_halt is None and state.halted is None)

    def report(self, event: OrderEvent) -> None:
        self.news.append(event)
        self.process(event)

    def fill(self, order_id: str, quantity: Decimal) -> None:
        order = self.submitted[order_id]
        self.filled[order_id] += quantity
        sign = 1 if order.side is OrderSide.BUY else -1
        price = Decimal(100) + (self.now.minute % 7)
        self.net += sign * quantity
        self.cash -= sign * quantity * price
        if self.filled[order_id] == order.quantity:
            self.open.remove(order_id)
        fill_id = f"{order_id}-{self.filled[order_id]}"
        self.report(OrderFilled(ts=self.now, order_id=order_id, fill_id=fill_id, quantity=quantity, price=price))

    def step(self, move: str, number: int) -> None:
        self.now += timedelta(seconds=20)
        ts, command_id = self.now, f"c{number}"
        order_id = self.open[number % len(self.open)] if self.open else None
        commands = {
            "pause": PauseSession(ts=ts, command_id=command_id),
            "resume": ResumeSession(ts=ts, command_id=command_id),
            "halt": HaltTrading(ts=ts, command_id=command_id, reason="test"),
            "unhalt": ResumeTrading(ts=ts, command_id=command_id),
            "square": SquareOff(ts=ts, command_id=command_id),
            "stop": StopSession(ts=ts, command_id=command_id),
            "close": StopSession(ts=ts, command_id=command_id, positions=OnBreach.CLOSE),
            "start": StartSession(ts=ts, command_id=command_id, config=config()),
            "clock": TimeAdvanced(ts=ts),
            "price": PriceTouched(ts=ts, slot=SUBSCRIPTION.key, instrument="any", price=70.0 + 10 * (number % 8)),
        }
        if move in commands:
            self.process(commands[move])
        elif move in {"long", "short", "flat"}:
            self.process(SignalArrived(ts=ts, signal=signal(Side(move.upper()), ts=ts)))
        elif move == "repeat" and self.news:
            self.process(self.news[number % len(self.news)])
        elif order_id is not None:
            self.from_broker(move, order_id)

    def from_broker(self, move: str, order_id: str) -> None:
        order, left = self.submitted[order_id], self.submitted[order_id].quantity - self.filled[order_id]
        match move:
            case "accept":
                self.report(OrderAccepted(ts=self.now, order_id=order_id, broker_order_id="b"))
            case "unknown":
                self.report(OrderUnknown(ts=self.now, order_id=order_id, reason="lost"))
            case "fill":
                self.fill(order_id, left)
            case "part" if left > 1:
                self.fill(order_id, left // 2)
            case "reject" if self.filled[order_id] == 0:
                self.open.remove(order_id)
                self.report(OrderRejected(ts=self.now, order_id=order_id, reason="no"))
            case "cancelled":
                self.open.remove(order_id)
                self.report(OrderCancelled(ts=self.now, order_id=order.order_id))
            case _:
                pass


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, min_size=1, max_size=60))
def test_the_books_agree_with_the_broker_after_any_day(moves: list[str]) -> None:
    day = Day()
    day.process(StartSession(ts=day.now, command_id="first", config=config()))
    for number, move in enumerate(moves):
        day.step(move, number)
        state = day.engine.state
        assert sum((p.quantity * p.direction for p in state.open_positions), Decimal(0)) == day.net
        assert len([order for order in day.open if day.submitted[order].leg is Leg.ENTRY]) <= 1
        assert set(state.orders) == set(day.open)
    state = day.engine.state
    if not state.open_positions:
        assert state.realised_today == day.cash
    assert [event.seq for event in day.events] == list(range(1, len(day.events) + 1))


@settings(max_examples=200, deadline=None)
@given(st.lists(MOVES, min_size=1, max_size=60))
def test_a_replay_of_the_inputs_through_the_wire_gives_the_same_state_byte_for_byte(moves: list[str]) -> None:
    day = Day()
    day.process(StartSession(ts=day.now, command_id="first", config=config()))
    for number, move in enumerate(moves):
        day.step(move, number)
    replayed = TradingEngine(EngineState(user_id="u1"))
    for event in day.inputs:
        replayed.process(msgspec.json.decode(msgspec.json.encode(event), type=EngineInput))
    assert encode_state(replayed.state) == encode_state(day.engine.state)
