"""Noise-free objects for tests: every argument has a plausible default."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from runtime.engine import TradingEngine
from runtime.events import CancelOrder, Effect, PriceTouched, Publish, SignalArrived, StartSession, SubmitOrder, TimeAdvanced
from runtime.market import IST, Instrument, InstrumentKind, Right, Timeframe
from runtime.orders import Leg, Order, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected
from runtime.session import Level, LevelUnit, Protection, RiskLimits, SessionConfig, Sizing, SizingMethod, Subscription
from runtime.signals import OrderSide, Side, Signal
from runtime.state import EngineState

DAY = date(2026, 11, 20)
SUBSCRIPTION = Subscription()
FUTURE = Instrument(
    id="NSE:BANKNIFTY26NOVFUT", kind=InstrumentKind.FUTURE, lot_size=Decimal(1), underlying="NSE:BANKNIFTY", expiry=date(2026, 11, 24)
)


ONE_LOT = Sizing(method=SizingMethod.FIXED, quantity=Decimal(30))
USUAL_LIMITS = RiskLimits()
PLAIN = Protection()


def at(clock: str, day: date = DAY) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), IST)


def option(strike: int = 52000, right: Right = Right.CALL, lot_size: int = 30, freeze: int | None = None) -> Instrument:
    return Instrument(
        id=f"NSE:BANKNIFTY26NOV{strike}{right}",
        kind=InstrumentKind.OPTION,
        lot_size=Decimal(lot_size),
        freeze_quantity=None if freeze is None else Decimal(freeze),
        underlying="NSE:BANKNIFTY",
        expiry=date(2026, 11, 24),
        strike=float(strike),
        right=right,
    )


def signal(side: Side = Side.LONG, clock: str = "10:00", **changes: Any) -> Signal:
    """A bought call for LONG, a bought put for SHORT, at premium 100 with stop 80 and target 130."""
    right = Right.PUT if side is Side.SHORT else Right.CALL
    ts = changes.pop("ts", at(clock))
    fields: dict[str, Any] = {
        "signal_id": f"s-{ts:%H%M%S}-{side}",
        "strategy_key": SUBSCRIPTION.key,
        "strategy": SUBSCRIPTION.strategy,
        "underlying": "NSE:BANKNIFTY",
        "timeframe": Timeframe.M1,
        "side": side,
        "direction": "BUY_PUT" if side is Side.SHORT else "BUY_CALL",
        "rule": "momentum",
        "reason": "test",
        "price": 52010.0,
        "instrument": option(right=right),
        "entry_side": OrderSide.BUY,
        "contract_price": 100.0,
        "contract_bid": 99.95,
        "contract_ask": 100.0,
        "stop": 80.0,
        "target": 130.0,
        "candle_time": ts - timedelta(minutes=1),
        "ts": ts,
    }
    return Signal(**(fields | changes))


def config(
    *,
    protection: Protection = PLAIN,
    sizing: Sizing = ONE_LOT,
    risk: RiskLimits = USUAL_LIMITS,
    cooldown: timedelta = timedelta(0),
    **more: Any,
) -> SessionConfig:
    subscription = Subscription(protection=protection, sizing=sizing, cooldown=cooldown)
    return SessionConfig(subscriptions=(subscription,), risk=risk, fees="none", **more)


def engine(settings: SessionConfig | None = None, *, clock: str = "09:15") -> TradingEngine:
    """A running session that has said its first words already."""
    trader = TradingEngine(EngineState(user_id="u1"))
    trader.process(StartSession(ts=at(clock), command_id="start", config=settings or config()))
    return trader


def arrive(trader: TradingEngine, what: Signal) -> list[Effect]:
    return trader.process(SignalArrived(ts=what.ts, signal=what))


def orders(effects: Sequence[Effect]) -> list[Order]:
    return [effect.order for effect in effects if isinstance(effect, SubmitOrder)]


def leg_of(effects: Sequence[Effect], leg: Leg) -> Order:
    """The only order of this leg."""
    (found,) = [order for order in orders(effects) if order.leg is leg]
    return found


def cancels(effects: Sequence[Effect]) -> list[str]:
    return [effect.order_id for effect in effects if isinstance(effect, CancelOrder)]


def said(effects: Sequence[Effect]) -> list[str]:
    """Types of the public events, in order."""
    return [str(effect.event.type) for effect in effects if isinstance(effect, Publish)]


def data_of(effects: Sequence[Effect], event_type: str) -> dict[str, Any]:
    """Data of the only event of this type."""
    (found,) = [effect.event.data for effect in effects if isinstance(effect, Publish) and effect.event.type == event_type]
    return found


def accept(trader: TradingEngine, order: Order, clock: str = "10:00") -> list[Effect]:
    return trader.process(OrderAccepted(ts=at(clock), order_id=order.order_id, broker_order_id=f"b-{order.order_id}"))


def fill(
    trader: TradingEngine, order: Order, price: str, clock: str = "10:00", *, quantity: int | None = None, fill_id: str = "f1"
) -> list[Effect]:
    done = order.quantity if quantity is None else Decimal(quantity)
    return trader.process(OrderFilled(ts=at(clock), order_id=order.order_id, fill_id=fill_id, quantity=done, price=Decimal(price)))


def reject(trader: TradingEngine, order: Order, clock: str = "10:00", reason: str = "margin") -> list[Effect]:
    return trader.process(OrderRejected(ts=at(clock), order_id=order.order_id, reason=reason))


def cancelled(trader: TradingEngine, order: Order, clock: str = "10:00") -> list[Effect]:
    return trader.process(OrderCancelled(ts=at(clock), order_id=order.order_id))


def wake(trader: TradingEngine) -> list[Effect]:
    """The clock reaches the time the engine asked for."""
    assert trader.state.wake_at is not None
    return trader.process(TimeAdvanced(ts=trader.state.wake_at))


def in_trade(settings: SessionConfig | None = None, *, side: Side = Side.LONG, price: str = "100") -> TradingEngine:
    """A trader that has entered at 10:00."""
    trader = engine(settings)
    (entry,) = orders(arrive(trader, signal(side)))
    fill(trader, entry, price)
    return trader


def touch(trader: TradingEngine, price: float, clock: str = "10:05") -> list[Effect]:
    (position,) = trader.state.open_positions
    return trader.process(PriceTouched(ts=at(clock), slot=SUBSCRIPTION.key, instrument=position.instrument.id, price=price))


def points(value: str) -> Level:
    return Level(value=Decimal(value), unit=LevelUnit.POINTS)


def percent(value: str) -> Level:
    return Level(value=Decimal(value), unit=LevelUnit.PERCENT)
