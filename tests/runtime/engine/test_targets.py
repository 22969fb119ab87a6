"""The whole reconciliation table under partial fills, rejections and targets that arrive meanwhile, against a model of its own."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine import TradingEngine
from runtime.events import Effect, SignalArrived, StartSession, SubmitOrder, TimeAdvanced
from runtime.orders import Leg, Order, OrderCancelled, OrderFilled, OrderRejected
from runtime.session import ExitMode, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import OrderSide, Side
from runtime.state import EngineState
from tests.builders import FUTURE, at, signal

UNITS = 12
WANTED = {Side.LONG: UNITS, Side.SHORT: -UNITS, Side.FLAT: 0}
FOLLOWS = Subscription(
    sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(UNITS)),
    protection=Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=None),
)


class Model:
    """Units held, units that the order in flight would add, and the newest target. It knows nothing but signs.

    Nothing is sent while an order is in flight. From flat a target is entered; from the other side, or to flat, everything is
    closed first, and a close that fails is sent again until it is done.
    """

    def __init__(self) -> None:
        self.held = 0
        self.flying = 0
        self.closing = False
        self.target: Side | None = None

    def signal(self, target: Side) -> None:
        self.target = target
        self._go_on()

    def fill(self, units: int) -> None:
        done = units if self.flying > 0 else -units
        self.held += done
        self.flying -= done
        self._go_on()

    def fail(self) -> None:
        """The rest of the order in flight will not be filled."""
        self.flying = -self.held if self.closing else 0
        self._go_on()

    def _go_on(self) -> None:
        if self.flying:
            return
        self.closing = False
        target, self.target = self.target, None
        if target is None or (WANTED[target] > 0) - (WANTED[target] < 0) == (self.held > 0) - (self.held < 0):
            return
        if self.held:
            self.closing, self.flying = True, -self.held
            self.target = None if target is Side.FLAT else target
        else:
            self.flying = WANTED[target]


class Pair:
    """The engine and the model, told the same."""

    def __init__(self) -> None:
        self.engine, self.model = TradingEngine(EngineState(user_id="u1")), Model()
        self.now = at("09:15")
        self.fills = 0
        risk = RiskLimits(max_daily_loss=None, max_orders_per_day=10_000)
        config = SessionConfig(subscriptions=(FOLLOWS,), risk=risk, fees="none")
        self.engine.process(StartSession(ts=self.now, command_id="c", config=config))
        self.order: Order | None = None
        self.left = 0

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SubmitOrder):
                assert self.left == 0, "an order beside another"
                self.order, self.left = effect.order, int(effect.order.quantity)

    def step(self, move: Literal["fill", "part", "fail", "cancel"] | Side) -> None:
        self.now += timedelta(seconds=1)
        if isinstance(move, Side):
            side = OrderSide.SELL if move is Side.SHORT else OrderSide.BUY
            wish = signal(move, ts=self.now, strategy_key=FOLLOWS.key, instrument=FUTURE, entry_side=side, stop=None, target=None)
            self.model.signal(move)
            self.take(self.engine.process(SignalArrived(ts=self.now, signal=wish)))
        elif self.order is not None and self.left:
            self.answer(self.order, move)
        self.agree()

    def answer(self, order: Order, move: str) -> None:
        if move in {"fill", "part"}:
            units = self.left if move == "fill" else max(1, self.left // 3)
            self.left -= units
            self.fills += 1
            self.model.fill(units)
            done = OrderFilled(ts=self.now, order_id=order.order_id, fill_id=f"f{self.fills}", quantity=Decimal(units), price=Decimal(100))
            self.take(self.engine.process(done))
            return
        self.left = 0
        self.model.fail()
        refused = OrderRejected(ts=self.now, order_id=order.order_id, reason="no")
        gone = OrderCancelled(ts=self.now, order_id=order.order_id)
        self.take(self.engine.process(refused if move == "fail" else gone))
        while self.model.closing and not self.left:  # an exit that failed is sent again later
            assert self.engine.state.wake_at is not None
            self.now = max(self.now, self.engine.state.wake_at)
            self.take(self.engine.process(TimeAdvanced(ts=self.now)))

    def agree(self) -> None:
        held = sum(int(position.quantity) * position.direction for position in self.engine.state.open_positions)
        sign = 0 if self.order is None or not self.left else 1 if self.order.side is OrderSide.BUY else -1
        assert (held, self.left * sign) == (self.model.held, self.model.flying)
        if self.order is not None and self.left:
            assert (self.order.leg is Leg.EXIT) == self.model.closing == self.order.reduce_only


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*Side, *Side, "fill", "fill", "part", "part", "fail", "cancel"]), max_size=60))
def test_every_target_is_reached_as_the_table_says_whatever_the_broker_does(
    moves: list[Side | Literal["fill", "part", "fail", "cancel"]],
) -> None:
    pair = Pair()
    for move in moves:
        pair.step(move)
