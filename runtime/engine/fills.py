"""Order events: what a broker reports, applied once and in any order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runtime.engine.booking import grow, open_surplus, reduce
from runtime.engine.entering import move_on
from runtime.engine.leaving import alert, check_realised_loss
from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason
from runtime.exits import effective_stop
from runtime.fees import order_fees
from runtime.orders import (
    TRANSITIONS,
    Leg,
    Order,
    OrderAbsent,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    OrderUnknown,
)
from runtime.state import ZERO, OrderState, Position, Slot

EXIT_RETRY = timedelta(seconds=1)
"""Pause before an exit that the broker rejected or cancelled is sent again; doubled each time."""
EXIT_RETRY_MAX = timedelta(seconds=30)
UNFILLED_REMEMBERED = 8
"""Orders reported final with something unfilled that a late fill is still taken for."""


def on_order_event(turn: Turn, event: OrderEvent) -> None:
    """News of an order that is final or not ours changes nothing, but for a fill: it has happened, whatever was said before."""
    order = turn.state.orders.get(event.order_id)
    if order is None:
        late = next((late for late in turn.state.unfilled if late.order.order_id == event.order_id), None)
        if late is not None and isinstance(event, OrderFilled):
            _on_late_fill(turn, late, event)
        return
    status = TRANSITIONS.get(order.status, {}).get(type(event))
    if status is None:
        return
    slot = turn.state.slots[order.order.slot]
    match event:
        case OrderAccepted():
            order.status, order.broker_order_id = status, event.broker_order_id
            turn.emit_order(EventType.ORDER_ACCEPTED, order.order)
        case OrderFilled():
            _on_fill(turn, slot, order, event)
        case OrderUnknown():
            order.status = status
            turn.emit_order(EventType.ORDER_UNKNOWN, order.order, reason=event.reason)
            advance(turn, slot)
        case OrderRejected():
            order.status = status
            turn.emit_order(EventType.ORDER_REJECTED, order.order, reason=event.reason)
            _finish(turn, slot, order)
        case OrderAbsent():
            order.status = status
            turn.emit_order(EventType.ORDER_REJECTED, order.order, reason="the broker's books show that it never arrived")
            _finish(turn, slot, order, refused=False)
        case OrderCancelled():
            order.status = status
            turn.emit_order(EventType.ORDER_CANCELLED, order.order, filled_quantity=order.filled, reason=event.reason)
            _finish(turn, slot, order)


def _on_fill(turn: Turn, slot: Slot, order: OrderState, fill: OrderFilled) -> None:
    if fill.fill_id in order.fill_ids:
        return
    quantity, fee = _book(turn, slot, order, fill)
    if order.order.leg is Leg.ENTRY:
        grow(turn, slot, order, quantity, fill.price, fee)
    else:
        reduce(turn, slot, order, quantity, fill.price, fee)
    if order.status is OrderStatus.FILLED:
        _finish(turn, slot, order)
    else:
        advance(turn, slot)
        turn.watch(slot)


def _on_late_fill(turn: Turn, order: OrderState, fill: OrderFilled) -> None:
    """Of an order that the venue had called finished: an entry has been given up and goes, a close still closes what is there."""
    if fill.fill_id in order.fill_ids:
        return
    intent = order.order
    slot = turn.state.slots.setdefault(intent.slot, Slot(key=intent.slot))
    quantity, fee = _book(turn, slot, order, fill)
    if intent.leg is Leg.ENTRY:
        open_surplus(turn, slot, order, quantity, fill.price)
    else:
        reduce(turn, slot, order, quantity, fill.price, fee)
    if order.status is OrderStatus.FILLED:
        turn.state.unfilled.remove(order)
    _go_on(turn, slot)


def _book(turn: Turn, slot: Slot, order: OrderState, fill: OrderFilled) -> tuple[Decimal, Decimal]:
    """Count the fill and say so; its quantity, never more than was ordered, and its fee."""
    state, intent = turn.state, order.order
    remaining = order.remaining
    quantity = min(fill.quantity, remaining)
    fee = order_fees(state.config.fees, intent.side, fill.price, quantity, on=turn.day, first_fill=not order.fill_ids)
    order.fill_ids.append(fill.fill_id)
    order.filled += quantity
    order.fees += fee
    state.fees_today += fee
    state.fees_total += fee
    slot.fees_today += fee
    slot.fees_total += fee
    done = order.filled >= intent.quantity
    order.status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    event_type = EventType.ORDER_FILLED if done else EventType.ORDER_PARTIALLY_FILLED
    turn.emit_order(event_type, intent, filled_quantity=order.filled, price=fill.price, fees=fee)
    return quantity, fee


def _finish(turn: Turn, slot: Slot, order: OrderState, *, refused: bool = True) -> None:
    """The order is final: forget it, and go on with whatever the slot wants next. `refused`: somebody did not want it, if it is not filled."""
    intent, filled = order.order, order.status is OrderStatus.FILLED
    del turn.state.orders[intent.order_id]
    slot.order_ids.remove(intent.order_id)
    if not filled:
        turn.state.unfilled.append(order)
        del turn.state.unfilled[:-UNFILLED_REMEMBERED]
    match intent.leg:
        case Leg.ENTRY:
            _end_entry(turn, slot, refused=order.status is OrderStatus.REJECTED)
        case Leg.EXIT if not filled and slot.position is not None:
            _retry_exit(turn, slot, slot.position, at_once=not refused)
        case Leg.STOP | Leg.TARGET if refused and not filled and not order.cancel_requested and slot.position is not None:
            _lose_leg(turn, slot.position, intent)
        case _:
            pass
    _go_on(turn, slot)


def _go_on(turn: Turn, slot: Slot) -> None:
    advance(turn, slot)
    turn.watch(slot)
    if slot.position is None:
        check_realised_loss(turn)
    move_on(turn, slot)


def _end_entry(turn: Turn, slot: Slot, *, refused: bool) -> None:
    """The entry is over with its last slice; one that the broker refuses drops those that have not left yet."""
    if slot.entry is None:
        return
    if refused:
        slot.entry.unsent = ZERO
    if slot.entry.unsent == 0 and not any(order.order.leg is Leg.ENTRY for order in turn.live(slot)):
        slot.entry = None


def _retry_exit(turn: Turn, slot: Slot, position: Position, *, at_once: bool) -> None:
    """A position must not stay without an exit because one order failed: try again, later each time; what got lost on its way at once."""
    if not at_once:
        slot.retry_at = turn.ts + min(EXIT_RETRY * 2 ** min(position.exits_failed, 6), EXIT_RETRY_MAX)
        position.exits_failed += 1
    alert(turn, position, slot.exit_reason or ExitReason.MANUAL, position.entry_price)


def _lose_leg(turn: Turn, position: Position, leg: Order) -> None:
    """The venue does not keep this leg: the runtime's own watch of the level, which was there all the time, is all there is."""
    if leg.leg not in position.legs_refused:
        position.legs_refused.append(leg.leg)
    rule = effective_stop(position)[1] if leg.leg is Leg.STOP else ExitReason.TP
    alert(turn, position, rule, leg.stop_price or leg.limit_price or position.entry_price, action="WATCH")
