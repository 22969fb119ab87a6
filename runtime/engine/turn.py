"""The work on one input: what it says to the user and what it asks of the world."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial

import msgspec

from runtime.events import CancelOrder, Effect, EventType, Publish, SubmitOrder, Unwatch, Watch
from runtime.exits import clock_exit, watch_levels
from runtime.market import Instrument
from runtime.orders import Leg, Order, OrderType, derive_order_id
from runtime.session import Mode, Protection, RiskLimits, Subscription
from runtime.signals import OrderSide
from runtime.state import ZERO, EngineState, OrderState, Position, Slot


class Turn(msgspec.Struct, gc=False):
    """Effects are in the order in which they must happen; nothing has happened yet when the turn ends.

    `day` is the exchange date of `ts` in India; `subscriptions` are the session's, by key; `told` the public events that
    anybody listens to, None for all.
    """

    state: EngineState
    ts: datetime
    day: date
    subscriptions: Mapping[str, Subscription]
    told: Collection[EventType] | None
    effects: list[Effect] = []

    # --- what the user hears ---

    def emit(self, event_type: EventType, data: dict[str, object]) -> None:
        if self.hears(event_type):
            self.tell(event_type, lambda: data)

    def emit_order(self, event_type: EventType, order: Order, **more: object) -> None:
        if self.told is None or event_type in self.told:  # `hears`, without the call: an order emits three times, mostly to nobody
            self.tell(event_type, partial(_order_facts, order, more))
        else:
            self.state.seq += 1

    def emit_position(self, event_type: EventType, slot: str, position: Position, **more: object) -> None:
        if self.hears(event_type):
            self.tell(event_type, partial(_position_facts, slot, copy.copy(position), more))

    def hears(self, event_type: EventType) -> bool:
        """Whether anybody listens to such events, which is then to be told. One that nobody hears is counted, and that is all."""
        if self.told is None or event_type in self.told:
            return True
        self.state.seq += 1
        return False

    def tell(self, event_type: EventType, facts: Callable[[], dict[str, object]]) -> None:
        """Asked `hears` first. `facts` is called when the event is read."""
        state = self.state
        state.seq += 1
        self.effects.append(Publish(user_id=state.user_id, seq=state.seq, type=event_type, ts=self.ts, facts=facts))

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
        number: int,
        level: Decimal | None = None,
    ) -> None:
        """`level`: the price at which a STOP or TARGET leg waits. Whether the order rate has room is asked before, see `has_room`."""
        state = self.state
        order = Order(
            order_id=derive_order_id(state.user_id, slot.key, signal_id, leg, number),
            user_id=state.user_id,
            slot=slot.key,
            signal_id=signal_id,
            leg=leg,
            mode=mode,
            instrument=instrument,
            side=side,
            quantity=quantity,
            type=_TYPES[leg],
            limit_price=level if leg is Leg.TARGET else None,
            stop_price=level if leg is Leg.STOP else None,
            reduce_only=leg is not Leg.ENTRY,
            created_at=self.ts,
        )
        state.window.record(self.ts)
        state.orders[order.order_id] = OrderState(order=order)
        slot.order_ids.append(order.order_id)
        decided_by = {"decided_by": slot.exit_signal} if leg is Leg.EXIT and slot.exit_signal is not None else {}
        self.emit_order(EventType.ORDER_SUBMITTED, order, **decided_by)
        self.effects.append(SubmitOrder(order))

    def cancel(self, order: OrderState) -> None:
        """Ask once, as soon as the order rate lets it leave; the outcome is an order event like any other."""
        order.cancel_requested = True
        if order.cancel_sent or not self.has_room(self.state.slots[order.order.slot]):
            return
        order.cancel_sent = True
        self.state.window.record(self.ts)
        self.effects.append(CancelOrder(order.order.order_id))

    def cancel_entries(self) -> None:
        """Of all slots: working orders are called off, slices not sent yet are dropped."""
        for slot in self.state.slots.values():
            self.cancel_entry(slot)

    def cancel_entry(self, slot: Slot) -> None:
        if slot.entry is None:
            return
        slot.entry.unsent = ZERO
        working = [order for order in self.live(slot) if order.order.leg is Leg.ENTRY]
        for order in working:
            self.cancel(order)
        if not working:
            slot.entry = None

    def has_room(self, slot: Slot, limit: int | None = None) -> bool:
        """Whether one more message may leave now; if not, `slot` is woken when it may. `limit` a second, else the user's own."""
        room_at = self.state.window.room_at(self.ts, self.limits.max_orders_per_second if limit is None else limit)
        if room_at <= self.ts:
            return True
        slot.wake_at = room_at if slot.wake_at is None else min(slot.wake_at, room_at)
        return False

    def watch(self, slot: Slot) -> None:
        """Ask for the prices at which this slot's position has something to decide."""
        position = slot.position
        if position is None:
            self.effects.append(Unwatch(slot.key))
            return
        low, high = watch_levels(position, self._loss_level(position))
        self.effects.append(Watch(slot=slot.key, instrument=position.instrument.id, low=low, high=high))

    def set_deadline(self, slot: Slot) -> None:
        """When the clock closes this slot's position, or the entry that is to become one."""
        if slot.position is not None:
            instrument, since = slot.position.instrument, slot.position.opened_at
        elif slot.entry is not None:
            instrument, since = slot.entry.signal.instrument, slot.last_entry_at or self.ts
        else:
            slot.deadline = None
            return
        due = clock_exit(self.protection(slot), instrument, since)
        slot.deadline = None if due is None else due[0]

    # --- lookups ---

    @property
    def limits(self) -> RiskLimits:
        return self.state.config.risk

    def live(self, slot: Slot) -> Sequence[OrderState]:
        """The slot's orders that are not final, oldest first."""
        if not slot.order_ids:
            return ()
        orders = self.state.orders
        return [orders[order_id] for order_id in slot.order_ids]

    def protection(self, slot: Slot) -> Protection:
        """A position whose subscription is gone keeps the protection it had, else the default one."""
        subscription = self.subscriptions.get(slot.key)
        return subscription.protection if subscription is not None else slot.protection or _DEFAULT_PROTECTION

    def _loss_level(self, position: Position) -> Decimal | None:
        """The price at which this position alone, the others at entry, uses up what is left of the daily loss limit."""
        if self.limits.max_daily_loss is None or self.state.halted is not None:
            return None
        left = self.limits.max_daily_loss + self.state.net_today
        return position.entry_price - left / position.quantity * position.direction


_DEFAULT_PROTECTION = Protection()
_TYPES = {Leg.ENTRY: OrderType.MARKET, Leg.EXIT: OrderType.MARKET, Leg.STOP: OrderType.STOP_MARKET, Leg.TARGET: OrderType.LIMIT}


def _order_facts(order: Order, more: dict[str, object]) -> dict[str, object]:
    facts: dict[str, object] = {
        "order_id": order.order_id,
        "signal_id": order.signal_id,
        "slot": order.slot,
        "leg": order.leg,
        "mode": order.mode,
        "instrument": order.instrument.id,
        "side": order.side,
        "quantity": str(order.quantity),
        "type": order.type,
    }
    if order.type is not OrderType.MARKET:
        facts["level"] = _text(order.limit_price or order.stop_price)
    return facts | {name: _written(value) for name, value in more.items()}


def _position_facts(slot: str, position: Position, more: dict[str, object]) -> dict[str, object]:
    facts: dict[str, object] = {
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
    return facts | {name: _written(value) for name, value in more.items()}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _written(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value
