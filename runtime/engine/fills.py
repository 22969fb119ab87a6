"""Order events: what a broker reports, applied once and in any order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runtime.engine.entering import move_to_target
from runtime.engine.leaving import EXIT_RETRY, alert, check_realised_loss, request_exit
from runtime.engine.turn import Turn, exit_data
from runtime.events import EventType, ExitReason
from runtime.exits import protect
from runtime.fees import order_fees
from runtime.market import IST
from runtime.orders import (
    TRANSITIONS,
    Leg,
    OrderAbsent,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    OrderUnknown,
)
from runtime.signals import OrderSide, Side
from runtime.state import ZERO, OrderState, Position, Slot

EXIT_RETRY_MAX = timedelta(seconds=30)


def on_order_event(turn: Turn, event: OrderEvent) -> None:
    """News of an order that is final or not ours changes nothing."""
    order = turn.state.orders.get(event.order_id)
    if order is None:
        return
    status = TRANSITIONS.get(order.status, {}).get(type(event))
    if status is None:
        return
    slot = turn.state.slots[order.order.slot]
    match event:
        case OrderAccepted():
            order.status, order.broker_order_id = status, event.broker_order_id
            turn.emit_order(EventType.ORDER_ACCEPTED, order)
        case OrderFilled():
            _on_fill(turn, slot, order, event)
        case OrderUnknown():
            order.status = status
            turn.emit_order(EventType.ORDER_UNKNOWN, order, reason=event.reason)
        case OrderRejected():
            order.status = status
            turn.emit_order(EventType.ORDER_REJECTED, order, reason=event.reason)
            _finish(turn, slot, order)
        case OrderAbsent():
            order.status = status
            turn.emit_order(EventType.ORDER_REJECTED, order, reason="the broker's books show that it never arrived")
            _finish(turn, slot, order)
        case OrderCancelled():
            order.status = status
            turn.emit_order(EventType.ORDER_CANCELLED, order, filled_quantity=str(order.filled), reason=event.reason)
            _finish(turn, slot, order)


def _on_fill(turn: Turn, slot: Slot, order: OrderState, fill: OrderFilled) -> None:
    if fill.fill_id in order.fill_ids:
        return
    intent = order.order
    quantity = min(fill.quantity, intent.quantity - order.filled)
    fee = order_fees(
        turn.state.config.fees, intent.side, fill.price, quantity, on=turn.ts.astimezone(IST).date(), first_fill=not order.fill_ids
    )
    order.fill_ids.append(fill.fill_id)
    order.filled += quantity
    order.cost += quantity * fill.price
    order.fees += fee
    turn.state.fees_today += fee
    done = order.filled >= intent.quantity
    order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    turn.emit_order(
        EventType.ORDER_FILLED if done else EventType.ORDER_PARTIALLY_FILLED,
        order,
        filled_quantity=str(order.filled),
        price=str(fill.price),
        fees=str(fee),
    )
    if intent.leg is Leg.ENTRY:
        _grow(turn, slot, order, quantity, fill.price, fee)
    else:
        _shrink(turn, slot, quantity, fill.price, fee)
    if done:
        _finish(turn, slot, order)
    else:
        turn.watch(slot)


def _grow(turn: Turn, slot: Slot, order: OrderState, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    position, signal = slot.position, slot.entry
    if position is None:
        side = signal.side if signal is not None else (Side.LONG if order.order.side is OrderSide.BUY else Side.SHORT)
        position = slot.position = Position(
            position_id=order.order.order_id,
            signal_id=order.order.signal_id,
            instrument=order.order.instrument,
            side=side,
            entry_side=order.order.side,
            mode=order.order.mode,
            quantity=quantity,
            entry_price=price,
            opened_at=turn.ts,
            best_price=price,
        )
        event_type = EventType.POSITION_OPENED
    else:
        position.quantity += quantity
        position.entry_price = order.cost / order.filled
        position.best_price = position.entry_price
        event_type = EventType.POSITION_CHANGED
    position.fees += fee
    stop, target = (signal.stop, signal.target) if signal is not None else (None, None)
    protect(position, turn.protection(slot.key), signal_stop=stop, signal_target=target)
    turn.emit_position(event_type, slot.key, position)


def _shrink(turn: Turn, slot: Slot, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    position = slot.position
    if position is None:
        return
    gained = (price - position.entry_price) * quantity * position.direction
    position.quantity -= quantity
    position.realised += gained
    position.fees += fee
    turn.state.realised_today += gained
    reason = slot.exit_reason or ExitReason.MANUAL
    if position.quantity > 0:
        turn.emit_position(EventType.POSITION_CHANGED, slot.key, position, **exit_data(reason, price, position.realised, position.fees))
        return
    slot.position, slot.exit_reason, slot.exit_attempts = None, None, 0
    position.quantity = ZERO
    turn.emit_position(EventType.POSITION_CLOSED, slot.key, position, **exit_data(reason, price, position.realised, position.fees))


def _finish(turn: Turn, slot: Slot, order: OrderState) -> None:
    """The order is final: forget it, and go on with whatever the slot wants next."""
    del turn.state.orders[order.order.order_id]
    slot.order_id = slot.leg = None
    if order.order.leg is Leg.ENTRY:
        slot.entry = None
    elif slot.position is not None:
        _retry_exit(turn, slot, slot.position)
    turn.watch(slot)
    if order.order.leg is Leg.EXIT and slot.position is None:
        check_realised_loss(turn)
    if slot.exit_wanted is not None and slot.retry_at is None:
        request_exit(turn, slot, slot.exit_wanted)
    if slot.position is None:
        slot.exit_wanted = slot.retry_at = None
    move_to_target(turn, slot)


def _retry_exit(turn: Turn, slot: Slot, position: Position) -> None:
    """A position must not stay without an exit because one order failed: try again, later each time."""
    reason = slot.exit_reason or ExitReason.MANUAL
    pause = min(EXIT_RETRY * 2 ** min(slot.exit_attempts - 1, 6), EXIT_RETRY_MAX)
    slot.exit_wanted, slot.retry_at = reason, turn.ts + pause
    alert(turn, position, reason, position.entry_price)
