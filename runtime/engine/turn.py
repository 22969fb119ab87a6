"""The work on one input: what it says to the user and what it asks of the world."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from runtime.events import CancelOrder, Effect, EventType, ExitReason, PublicEvent, Publish, SubmitOrder, Unwatch, WakeAt, Watch
from runtime.exits import watch_levels
from runtime.market import IST, Instrument
from runtime.orders import Leg, Order, derive_order_id
from runtime.session import Mode, Protection, RiskLimits, Subscription
from runtime.signals import OrderSide, Signal
from runtime.state import EngineState, OrderState, Position, Slot


class Turn:
    """Effects are in the order in which they must happen; nothing has happened yet when the turn ends."""

    __slots__ = ("_told", "effects", "state", "ts")

    def __init__(self, state: EngineState, ts: datetime, told: Collection[EventType] | None = None) -> None:
        self.state = state
        self.ts = ts
        self._told = told
        self.effects: list[Effect] = []

    # --- what the user hears ---

    def emit(self, event_type: EventType, data: dict[str, object]) -> None:
        if self.is_told(event_type):
            self._publish(event_type, data)

    def is_told(self, event_type: EventType) -> bool:
        """Count an event; False when nobody listens to its type, so that it need not be composed."""
        self.state.seq += 1
        return self._told is None or event_type in self._told

    def _publish(self, event_type: EventType, data: dict[str, object]) -> None:
        state = self.state
        event_id = f"{state.user_id}:{state.seq}"
        event = PublicEvent(event_id=event_id, seq=state.seq, type=event_type, user_id=state.user_id, ts=self.ts.astimezone(IST), data=data)
        self.effects.append(Publish(event))

    def emit_signal(self, signal: Signal) -> None:
        if self.is_told(EventType.SIGNAL):
            self._publish(EventType.SIGNAL, _signal_data(signal))

    def emit_order(self, event_type: EventType, order: OrderState, **more: object) -> None:
        if not self.is_told(event_type):
            return
        intent = order.order
        data: dict[str, object] = {
            "order_id": intent.order_id,
            "signal_id": intent.signal_id,
            "slot": intent.slot,
            "leg": intent.leg,
            "instrument": intent.instrument.id,
            "side": intent.side,
            "quantity": str(intent.quantity),
            "type": intent.type,
        }
        self._publish(event_type, data | more)

    def emit_position(self, event_type: EventType, slot: str, position: Position, **more: object) -> None:
        if not self.is_told(event_type):
            return
        data: dict[str, object] = {
            "position_id": position.position_id,
            "slot": slot,
            "signal_id": position.signal_id,
            "instrument": position.instrument.id,
            "side": position.side,
            "quantity": str(position.quantity),
            "entry_price": str(position.entry_price),
            "stop": _text(position.stop),
            "target": _text(position.target),
        }
        self._publish(event_type, data | more)

    # --- what the world is asked for ---

    def submit(
        self,
        slot: Slot,
        *,
        leg: Leg,
        mode: Mode,
        signal_id: str,
        instrument: Instrument,
        side: OrderSide,
        quantity: Decimal,
        attempt: int = 0,
    ) -> OrderState:
        state = self.state
        order = Order(
            order_id=derive_order_id(state.user_id, slot.key, signal_id, leg, attempt),
            user_id=state.user_id,
            slot=slot.key,
            signal_id=signal_id,
            leg=leg,
            mode=mode,
            instrument=instrument,
            side=side,
            quantity=quantity,
            reduce_only=leg is Leg.EXIT,
            created_at=self.ts,
        )
        state.window.record(self.ts)
        live = state.orders[order.order_id] = OrderState(order=order)
        slot.order_id, slot.leg = order.order_id, leg
        self.emit_order(EventType.ORDER_SUBMITTED, live)
        self.effects.append(SubmitOrder(order))
        return live

    def cancel(self, order: OrderState) -> None:
        """Ask once; the outcome is an order event like any other."""
        if not order.cancel_requested:
            order.cancel_requested = True
            self.state.window.record(self.ts)
            self.effects.append(CancelOrder(order.order.order_id))

    def cancel_entries(self) -> None:
        for order in self.state.orders.values():
            if order.order.leg is Leg.ENTRY:
                self.cancel(order)

    def watch(self, slot: Slot) -> None:
        """Ask for the prices at which this slot's position has something to decide."""
        position = slot.position
        if position is None:
            self.effects.append(Unwatch(slot.key))
            return
        low, high = watch_levels(position, self._loss_level(position))
        self.effects.append(Watch(slot=slot.key, instrument=position.instrument.id, low=low, high=high))

    def wake_at(self, ts: datetime | None) -> None:
        if ts != self.state.wake_at:
            self.state.wake_at = ts
            self.effects.append(WakeAt(ts))

    # --- lookups ---

    @property
    def limits(self) -> RiskLimits:
        return self.state.config.risk

    def subscription(self, slot: str) -> Subscription | None:
        return next((s for s in self.state.config.subscriptions if s.key == slot), None)

    def protection(self, slot: str) -> Protection:
        """A position whose subscription is gone keeps the protection it had, else the default one."""
        subscription = self.subscription(slot)
        return subscription.protection if subscription is not None else self.state.slots[slot].protection or Protection()

    def _loss_level(self, position: Position) -> Decimal | None:
        """The price at which this position alone, the others at entry, uses up what is left of the daily loss limit."""
        if self.limits.max_daily_loss is None or self.state.halted is not None:
            return None
        left = self.limits.max_daily_loss + self.state.net_today
        return position.entry_price - left / position.quantity * position.direction


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def exit_data(reason: ExitReason, price: Decimal, pnl: Decimal, fees: Decimal) -> dict[str, object]:
    return {"exit_reason": reason, "exit_price": str(price), "realised_pnl": str(pnl), "fees": str(fees)}


def _signal_data(signal: Signal) -> dict[str, object]:
    return {
        "signal_id": signal.signal_id,
        "strategy": signal.strategy,
        "strategy_key": signal.strategy_key,
        "direction": signal.direction,
        "side": signal.side,
        "underlying": signal.underlying,
        "instrument": signal.instrument.id,
        "rule": signal.rule,
        "reason": signal.reason,
        "price": signal.price,
        "contract_price": signal.contract_price,
        "stop": signal.stop,
        "target": signal.target,
        "candle_time": signal.candle_time,
        "context": signal.context,
    }
