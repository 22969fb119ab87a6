"""Random but legal days: whatever broker, market and user do, the books stay true and only what may leave leaves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.engine import TradingEngine
from runtime.engine.fills import UNFILLED_REMEMBERED
from runtime.events import (
    EngineInput,
    EventType,
    HaltTrading,
    PauseSession,
    PauseSubscription,
    PriceTouched,
    PublicEvent,
    Publish,
    ResumeSession,
    ResumeSubscription,
    ResumeTrading,
    SignalArrived,
    SquareOff,
    StartSession,
    StopSession,
    TimeAdvanced,
)
from runtime.market import Timeframe
from runtime.orders import Leg, Order
from runtime.session import ExitMode, OnBreach, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.state import EngineState, decode_state, encode_state, net_positions
from tests.builders import FUTURE, at, option, points, signal
from tests.runtime.engine.broker_model import BrokerModel

QUANTITY = 90
LIMIT = 6
FROZEN = msgspec.structs.replace(option(freeze=30))
FAST = Subscription(sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(QUANTITY)))
SLOW = msgspec.structs.replace(FAST, timeframe=Timeframe.M5)

PLANS = {
    "plain": Protection(square_off=None),
    "trailing": Protection(square_off=None, trail=points("7"), target=points("25")),
    "at the broker": Protection(square_off=None, at_broker=True, trail=points("7"), target=points("25")),
}
COMMANDS = ["pause", "resume", "halt", "unhalt", "square", "stop", "close", "start", "pause one", "resume one"]
LIFTS = ["resume", "unhalt", "start", "resume one"]
MARKET = ["long", "short", "flat", "price", "clock", "trade", "trade"]
BROKER = ["accept", "fill", "fill", "part", "part", "reject", "cancel", "lose", "absent", "deliver", "deliver", "repeat", "leg", "leg"]

steps = st.lists(
    st.tuples(
        st.sampled_from(MARKET * 6 + BROKER * 4 + COMMANDS + LIFTS * 2), st.integers(0, 1000), st.sampled_from([1, 40, 300, 1000, 20_000])
    ),
    min_size=20,  # lists of hypothesis are about twice as long as they must be
    max_size=100,
)


class Day:
    """One engine with two subscriptions on sliced contracts, and a broker of its own mind."""

    def __init__(self, plan: Protection, *, permuted: bool) -> None:
        subscriptions = tuple(msgspec.structs.replace(each, protection=plan) for each in (SLOW, FAST))
        risk = RiskLimits(max_daily_loss=Decimal(3000), max_orders_per_second=LIMIT)
        self.config = SessionConfig(subscriptions=subscriptions, risk=risk, fees="none")
        self.keys = [each.key for each in subscriptions]
        self.engine = TradingEngine(EngineState(user_id="u1"))
        self.broker = BrokerModel()
        self.now = at("09:15")
        self.permuted = permuted
        self.inputs: list[EngineInput] = []
        self.events: list[PublicEvent] = []
        self.process(StartSession(ts=self.now, command_id="first", config=self.config))

    def process(self, event: EngineInput) -> None:
        self.inputs.append(event)
        effects = self.engine.process(event)
        self.events += [effect.event for effect in effects if isinstance(effect, Publish)]
        for order in self.broker.take(effects, self.now):
            assert order.reduce_only or self.may_enter(order), f"an entry left although the trader may not enter: {order}"
            self.check_neighbours(order)

    def check_neighbours(self, order: Order) -> None:
        """An entry has its slot to itself and its own slices and legs. An exit is alone too, but for what nobody knows the fate of."""
        state = self.engine.state
        slot = state.slots[order.slot]
        others = [state.orders[order_id] for order_id in slot.order_ids]
        if order.leg is Leg.ENTRY:
            filled = None if slot.position is None else slot.position.position_id  # its slices, and the legs of what they have filled
            assert all(other.order.signal_id in {order.signal_id, filled} for other in others), "an entry beside another order"
            assert slot.position is None or slot.position.signal_id == order.signal_id, "an entry on top of another position"
        elif order.leg is Leg.EXIT:
            assert all(other.order.leg is Leg.EXIT or other.status == "UNKNOWN" for other in others), "an exit beside a live order"

    def may_enter(self, order: Order) -> bool:
        state = self.engine.state
        subscription = next(each for each in state.config.subscriptions if each.key == order.slot)
        return state.status == "RUNNING" and not state.halts and state.halted is None and not subscription.paused

    def signal(self, side: Side, number: int) -> Signal:
        """Options bought by one strategy; a future that can be sold short by the other."""
        key = self.keys[number % 2]
        instrument = FROZEN if number % 2 == 0 else FUTURE
        sold = number % 2 == 1 and side is Side.SHORT
        stop, target = (120.0, 70.0) if sold else (80.0, 130.0)
        return signal(
            side,
            ts=self.now,
            signal_id=f"s-{len(self.inputs)}",
            strategy_key=key,
            instrument=instrument,
            entry_side=OrderSide.SELL if sold else OrderSide.BUY,
            stop=stop,
            target=target,
        )

    def step(self, move: str, number: int, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)
        ts, broker, key = self.now, self.broker, self.keys[number % 2]
        command_id = f"c{len(self.inputs)}"
        commands: dict[str, EngineInput] = {
            "pause": PauseSession(ts=ts, command_id=command_id),
            "resume": ResumeSession(ts=ts, command_id=command_id),
            "halt": HaltTrading(ts=ts, command_id=command_id, reason="test", positions=OnBreach.CLOSE if number % 2 else OnBreach.KEEP),
            "unhalt": ResumeTrading(ts=ts, command_id=command_id),
            "square": SquareOff(ts=ts, command_id=command_id),
            "stop": StopSession(ts=ts, command_id=command_id),
            "close": StopSession(ts=ts, command_id=command_id, positions=OnBreach.CLOSE),
            "start": StartSession(ts=ts, command_id=command_id, config=self.config),
            "pause one": PauseSubscription(ts=ts, command_id=command_id, key=key),
            "resume one": ResumeSubscription(ts=ts, command_id=command_id, key=key),
            "clock": TimeAdvanced(ts=ts),
            "price": PriceTouched(ts=ts, slot=key, instrument=FUTURE.id, price=75.0 + number % 60),
        }
        if move in commands:
            self.process(commands[move])
        elif move in {"long", "short", "flat"}:
            self.process(SignalArrived(ts=ts, signal=self.signal(Side(move.upper()), number)))
        elif move == "trade":
            self.trade(number)
        elif move == "repeat":
            self.deliver(broker.repeat(number))
        elif move == "deliver":
            self.deliver(broker.next_report(number if self.permuted else 0))
        elif move == "leg" and (legs := broker.open(Leg.STOP, Leg.TARGET)):
            self.act("fill" if number % 3 else "part", legs[number % len(legs)], number)
            if not self.permuted:
                self.deliver(broker.next_report(0))
        elif (working := broker.open()) and move in {"accept", "fill", "part", "reject", "cancel", "lose", "absent"}:
            self.act(move, working[number % len(working)], number)
            if not self.permuted:
                self.deliver(broker.next_report(0))

    def trade(self, number: int) -> None:
        """A signal, and a broker that fills all it leads to at once."""
        self.process(SignalArrived(ts=self.now, signal=self.signal(Side.SHORT if number % 4 > 1 else Side.LONG, number)))
        for each in self.broker.open(Leg.ENTRY, Leg.EXIT):
            self.act("fill", each, number)
        if not self.permuted:
            self.deliver_all()

    def act(self, move: str, each: Any, number: int) -> None:
        broker, ts = self.broker, self.now
        price = Decimal(90) + Decimal(number % 21)
        match move:
            case "fill":
                broker.fill(each, each.left, price, ts)
            case "part" if each.left > 1:
                broker.fill(each, max(Decimal(1), each.left // 3), price, ts)
            case "reject":
                broker.reject(each, ts)
            case "cancel":
                broker.cancel(each, ts)
            case "lose":
                broker.lose(each, ts)
            case "absent" if each.lost:
                broker.settle_lost(each, ts)
            case _:
                broker.accept(each, ts)

    def deliver(self, event: Any) -> None:
        if event is not None:
            self.process(msgspec.structs.replace(event, ts=self.now))

    def deliver_all(self) -> None:
        """Newest first where the order is permuted."""
        while self.broker.reports:
            self.deliver(self.broker.next_report(-1 if self.permuted else 0))

    def wind_down(self) -> None:
        """From here on the broker does what it is asked, at once: the trader stops and closes, and must come to rest flat."""
        self.process(StopSession(ts=self.now, command_id="end", positions=OnBreach.CLOSE))
        self.process(SquareOff(ts=self.now, command_id="end too"))
        for _ in range(200):
            self.deliver_all()
            asked = {id(each) for each in self.broker.open() if self.is_cancelled(each.order)}
            for each in self.broker.open():
                if id(each) in asked:
                    self.broker.cancel(each, self.now)
                elif each.order.leg in {Leg.EXIT, Leg.ENTRY}:
                    self.broker.fill(each, each.left, Decimal(100), self.now)
            self.deliver_all()
            if self.engine.state.is_idle:
                return
            self.now = max(self.now + timedelta(milliseconds=1), self.engine.state.wake_at or self.now)
            self.process(TimeAdvanced(ts=self.now))
        raise AssertionError(f"never came to rest: {self.engine.state}")

    def is_cancelled(self, order: Order) -> bool:
        live = self.engine.state.orders.get(order.order_id)
        return live is None or live.cancel_sent

    def books(self) -> dict[str, Decimal]:
        return {name: quantity for name, quantity in net_positions(self.engine.state).items() if quantity}


def live_a_day(plan: str, moves: list[tuple[str, int, int]], *, permuted: bool) -> Day:
    day = Day(PLANS[plan], permuted=permuted)
    for move in moves:
        day.step(*move)
    return day


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_the_books_agree_with_the_broker_at_every_step(plan: str, moves: list[tuple[str, int, int]]) -> None:
    day = Day(PLANS[plan], permuted=False)
    for move in moves:
        day.step(*move)
        assert day.books() == {name: quantity for name, quantity in day.broker.net.items() if quantity}


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_reports_in_any_order_and_any_number_lead_to_the_same_books(plan: str, moves: list[tuple[str, int, int]]) -> None:
    day = live_a_day(plan, moves, permuted=True)
    ended_unfilled = [each for each in day.broker.orders.values() if not each.open and each.left > 0]
    assume(len(ended_unfilled) <= UNFILLED_REMEMBERED)
    day.deliver_all()
    assert day.books() == {name: quantity for name, quantity in day.broker.net.items() if quantity}


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_a_trader_that_stops_and_closes_comes_to_rest_flat_and_its_profit_is_the_accounts_cash(
    plan: str, moves: list[tuple[str, int, int]]
) -> None:
    day = live_a_day(plan, moves, permuted=False)
    day.wind_down()
    assert not any(day.broker.net.values())
    assert day.engine.state.realised_total == day.broker.cash
    assert [event.seq for event in day.events] == list(range(1, len(day.events) + 1))


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_a_target_waits_for_something_and_is_decided_or_dropped_in_the_end(plan: str, moves: list[tuple[str, int, int]]) -> None:
    day = Day(PLANS[plan], permuted=False)
    for move in moves:
        day.step(*move)
        for slot in day.engine.state.slots.values():
            assert slot.pending is None or slot.is_busy or slot.wake_at is not None, "a target waits for nothing"
            assert slot.pending is not None or not slot.waits
    day.wind_down()
    came = [event.data["signal_id"] for event in day.events if event.type is EventType.SIGNAL and "decision" not in event.data]
    decided = [event.data["signal_id"] for event in day.events if event.type is EventType.SIGNAL_DECIDED]
    dropped = [event.data["signal_id"] for event in day.events if event.type is EventType.SIGNAL_SKIPPED]
    assert len(decided) == len(set(decided)), "decided twice"
    assert set(decided) <= set(came), "what did not wait is decided when it comes"
    assert set(came) <= set(decided) | set(dropped), "waits for ever"


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_one_live_entry_per_signal_and_slice_and_no_more_closing_than_is_open(plan: str, moves: list[tuple[str, int, int]]) -> None:
    """I1. Closing orders never ask for more than the position, but for legs of a pair, of which each asks for all of it."""
    day = Day(PLANS[plan], permuted=False)
    for move in moves:
        day.step(*move)
        working = day.broker.open(Leg.ENTRY)
        for key in day.keys:
            entries = [each for each in working if each.order.slot == key]
            assert len({each.order.signal_id for each in entries}) <= 1, "entries of two signals at once"
            assert sum(each.left + each.filled for each in entries) <= QUANTITY
        for slot in day.engine.state.slots.values():
            position = slot.position
            lost = any(each.lost for each in day.broker.open() if each.order.slot == slot.key)
            if position is None or lost:
                continue
            closing = [each for each in day.broker.open(Leg.EXIT) if each.order.signal_id == position.position_id]
            assert sum(each.left for each in closing) <= position.quantity
            for leg in (Leg.STOP, Leg.TARGET) if slot.wake_at is None else ():
                live = [day.engine.state.orders[each.order.order_id] for each in day.broker.open(leg) if each.order.slot == slot.key]
                resting = [each for each in live if not each.cancel_requested]
                assert sum(each.remaining for each in resting) <= position.quantity


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_no_sliding_second_holds_more_messages_than_the_limit(plan: str, moves: list[tuple[str, int, int]]) -> None:
    """I12, by the times at which the broker got them: submits, cancels, slices and legs alike, across a restart in the middle."""
    day = Day(PLANS[plan], permuted=False)
    for number, move in enumerate(moves):
        day.step(*move)
        if number == len(moves) // 2:
            day.engine = TradingEngine(decode_state(encode_state(day.engine.state)))
    day.wind_down()
    times = [message.ts for message in day.broker.messages]
    for first, beyond in zip(times, times[LIMIT:], strict=False):
        assert beyond - first >= timedelta(seconds=1)


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=60, deadline=None)
@given(moves=steps)
def test_after_a_halt_only_cancels_and_reduce_only_exits_leave(plan: str, moves: list[tuple[str, int, int]]) -> None:
    """I6. `Day.process` checks every order; here the day goes on after a halt that nobody lifts."""
    day = Day(PLANS[plan], permuted=False)
    half = len(moves) // 2
    for move in moves[:half]:
        day.step(*move)
    day.process(HaltTrading(ts=day.now, command_id="the halt", reason="drill"))
    before = len(day.broker.messages)
    for move, number, pause in moves[half:]:
        if move != "unhalt":
            day.step(move, number, pause)
    assert all(message.leg is not Leg.ENTRY for message in day.broker.messages[before:])


@pytest.mark.parametrize("plan", PLANS)
@settings(max_examples=50, deadline=None)
@given(moves=steps, cut=st.integers(0, 79))
def test_a_replay_through_the_wire_and_a_snapshot_gives_the_same_state_byte_for_byte(
    plan: str, moves: list[tuple[str, int, int]], cut: int
) -> None:
    """I16."""
    day = live_a_day(plan, moves, permuted=True)
    replayed = TradingEngine(EngineState(user_id="u1"))
    for number, event in enumerate(day.inputs):
        if number == cut:
            replayed = TradingEngine(decode_state(encode_state(replayed.state)))
        replayed.process(msgspec.json.decode(msgspec.json.encode(event), type=EngineInput))
    assert encode_state(replayed.state) == encode_state(day.engine.state)


def test_a_snapshot_keeps_the_order_in_which_slots_are_served() -> None:
    state = Day(PLANS["plain"], permuted=False).engine.state
    assert list(state.slots) == [SLOW.key, FAST.key]
    assert list(decode_state(encode_state(state)).slots) == [SLOW.key, FAST.key]


fills = st.lists(st.tuples(st.integers(1, 40), st.decimals("0.05", 999, places=2)), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(entry=fills, leave=fills)
def test_no_cent_is_lost_however_a_trade_is_filled(entry: list[tuple[int, Decimal]], leave: list[tuple[int, Decimal]]) -> None:
    """Averages that do not divide, shares of a cost that do not either: what is booked is what was paid, exactly."""
    quantity = sum(units for units, _ in entry)
    sizing = Sizing(method=SizingMethod.FIXED, quantity=Decimal(quantity))
    follows = Subscription(sizing=sizing, protection=Protection(square_off=None, exit_mode=ExitMode.SIGNAL_ONLY))
    trader = TradingEngine(EngineState(user_id="u1"))
    risk = RiskLimits(max_daily_loss=None)
    trader.process(StartSession(ts=at("09:15"), command_id="c", config=SessionConfig(subscriptions=(follows,), risk=risk, fees="none")))
    broker, now = BrokerModel(), at("10:00")

    def run(side: Side, clock: str, portions: list[tuple[int, Decimal]]) -> None:
        wish = signal(side, clock, strategy_key=follows.key, instrument=FUTURE)
        (order,) = broker.take(trader.process(SignalArrived(ts=wish.ts, signal=wish)), now)
        each = broker.orders[order.order_id]
        for units, price in portions:
            if each.open:
                broker.fill(each, min(each.left, Decimal(units)), price, now)
        if each.open:
            broker.fill(each, each.left, Decimal("100.05"), now)
        while (report := broker.next_report(0)) is not None:
            trader.process(report)

    run(Side.LONG, "10:00", entry)
    run(Side.FLAT, "10:01", leave)
    assert trader.state.open_positions == []
    assert trader.state.realised_total == broker.cash
