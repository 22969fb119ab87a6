"""The daily loss on prices that walk and jump: never more than the limit, the gap that passed it and one unit of slippage."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine import TradingEngine
from runtime.events import (
    Effect,
    PriceTouched,
    SignalArrived,
    StartSession,
    Watch,
)
from runtime.orders import Leg
from runtime.session import Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.state import EngineState
from tests.builders import FUTURE, at, signal
from tests.runtime.engine.broker_model import BrokerModel

SLIPPAGE = Decimal(1)
LOSS_LIMIT = Decimal(1500)


class Walk:
    """One position at a time on a price that walks and jumps; every exit fills one slippage unit worse than the price that caused it."""

    def __init__(self) -> None:
        follows = Subscription(sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(30)), protection=Protection(square_off=None))
        risk = RiskLimits(max_daily_loss=LOSS_LIMIT, max_orders_per_second=100, max_orders_per_day=1000)
        self.key = follows.key
        self.engine = TradingEngine(EngineState(user_id="u1"))
        self.broker = BrokerModel()
        self.now: datetime = at("09:15")
        self.price = Decimal(1000)
        self.gap = Decimal(0)
        session = SessionConfig(subscriptions=(follows,), risk=risk, fees="none")
        self.engine.process(StartSession(ts=self.now, command_id="start", config=session))

    def tick(self, move: int, wish: Side | None) -> None:
        self.now += timedelta(seconds=1)
        last, self.price = self.price, self.price + move
        touched = PriceTouched(ts=self.now, slot=self.key, instrument=FUTURE.id, price=float(self.price))
        for effect in self.engine.restore_watches():
            match effect:
                case Watch(low=float() as low) if float(self.price) <= low:
                    self.gap = max(Decimal(0), min(last, Decimal(repr(low))) - self.price)
                    self.settle(self.engine.process(touched))
                case Watch(high=float() as high) if float(self.price) >= high:
                    self.gap = max(Decimal(0), self.price - max(last, Decimal(repr(high))))
                    self.settle(self.engine.process(touched))
                case _:
                    pass
        if wish is not None:
            self.settle(self.engine.process(SignalArrived(ts=self.now, signal=self.signal(wish))))

    def signal(self, side: Side) -> Signal:
        return signal(
            side,
            ts=self.now,
            signal_id=f"w{self.now}",
            strategy_key=self.key,
            instrument=FUTURE,
            entry_side=OrderSide.SELL if side is Side.SHORT else OrderSide.BUY,
            stop=None,
            target=None,
            contract_price=float(self.price),
            contract_bid=float(self.price),
            contract_ask=float(self.price),
        )

    def settle(self, effects: list[Effect]) -> None:
        for order in self.broker.take(effects, self.now):
            worse = SLIPPAGE if order.side is OrderSide.BUY else -SLIPPAGE
            price = self.price + (worse if order.leg is Leg.EXIT else 0)
            self.broker.fill(self.broker.orders[order.order_id], order.quantity, price, self.now)
        while (report := self.broker.next_report(0)) is not None:
            self.settle(self.engine.process(report))

    @property
    def lost(self) -> Decimal:
        """The account's own figure: cash and what is held at the price of now."""
        return -(self.broker.cash + self.broker.net.get(FUTURE.id, Decimal(0)) * self.price)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-20, 20), st.sampled_from([0, 0, 0, 0, 0, -60, 60]), st.sampled_from([None, None, *Side])), max_size=150)
)
def test_a_day_never_loses_more_than_limit_plus_gap_plus_one_slippage(ticks: list[tuple[int, int, Side | None]]) -> None:
    """I10, for 30 units: beyond the limit there is only what the last jump passed over and one slippage unit of the exit."""
    walk = Walk()
    for step, jump, wish in ticks:
        walk.tick(step + jump, wish)
        assert walk.lost <= LOSS_LIMIT + (walk.gap + SLIPPAGE) * 30
    if walk.lost > LOSS_LIMIT:
        assert walk.engine.state.halted is not None
        assert walk.engine.state.open_positions == []
