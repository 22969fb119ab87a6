"""Fills into positions: opened, grown, shrunk, and the surplus of a race, in exact money."""

from __future__ import annotations

from decimal import Decimal

from runtime.engine.leaving import alert
from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason
from runtime.exits import effective_stop, protect
from runtime.orders import Leg, Order, exposure_of
from runtime.state import ZERO, OrderState, Position, Slot

_COST_STEP = Decimal("0.00000001")


def grow(turn: Turn, slot: Slot, order: OrderState, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    """An entry order of the slot has filled."""
    signal = slot.entry.signal if slot.entry is not None else None
    position = slot.position
    event_type = EventType.POSITION_OPENED if position is None else EventType.POSITION_CHANGED
    if position is None:
        position_id = order.order.order_id if len(order.fill_ids) == 1 else _nth(order)
        position = slot.position = _opened(turn, order.order, position_id, quantity, price)
        if signal is not None:
            position.side = signal.side
    else:
        position.quantity += quantity
        position.cost += quantity * price
        position.entry_price = position.best_price = position.cost / position.quantity
    position.fees += fee
    stop, target = (signal.stop, signal.target) if signal is not None else (None, None)
    protection = turn.protection(slot)
    protect(position, protection, signal_stop=stop, signal_target=target)
    if protection.max_hold is not None or slot.deadline is None:  # the other clock exits are those of the entry
        turn.set_deadline(slot)
    turn.emit_position(event_type, slot.key, position)


def reduce(turn: Turn, slot: Slot, order: OrderState, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
    """A closing order has filled: shrink its position; what goes beyond it is a surplus."""
    position = slot.position if slot.position is not None and slot.position.position_id == order.order.signal_id else None
    shrunk = min(quantity, position.quantity) if position is not None else ZERO
    if position is not None:
        position.fees += fee
        rule = closing_rule(slot, position, order.order)
        shrink(turn, slot, position, shrunk, price, rule)
        if slot.entry is not None:  # stop or target was hit before the entry was complete: no more of it, and what still comes goes too
            turn.cancel_entry(slot)
            if slot.position is None:
                slot.exit_reason = slot.exit_reason or rule
    if quantity > shrunk:
        open_surplus(turn, slot, order, quantity - shrunk, price)


def open_surplus(turn: Turn, slot: Slot, order: OrderState, quantity: Decimal, price: Decimal) -> None:
    """Nobody wanted this position: two orders that each closed the same one were filled, or one that the venue had called finished.

    It goes at once, in a book of its own when its slot has something else to hold.
    """
    position_id = _nth(order)
    if slot.position is not None or slot.entry is not None:
        slot = turn.state.slots[position_id] = Slot(key=position_id)
    position = slot.position = _opened(turn, order.order, position_id, quantity, price)
    turn.emit_position(EventType.POSITION_OPENED, slot.key, position)
    alert(turn, position, ExitReason.SURPLUS, price)
    slot.exit_reason, slot.exit_signal = ExitReason.SURPLUS, None
    advance(turn, slot)


def _nth(order: OrderState) -> str:
    """A position id for one fill of an order, which may open several positions one after the other."""
    return f"{order.order.order_id}-{len(order.fill_ids)}"


def _opened(turn: Turn, order: Order, position_id: str, quantity: Decimal, price: Decimal) -> Position:
    return Position(
        position_id=position_id,
        signal_id=order.signal_id,
        instrument=order.instrument,
        side=exposure_of(order),
        entry_side=order.side,
        mode=order.mode,
        quantity=quantity,
        cost=quantity * price,
        entry_price=price,
        opened_at=turn.ts,
        best_price=price,
    )


def shrink(turn: Turn, slot: Slot, position: Position, quantity: Decimal, price: Decimal, reason: ExitReason) -> None:
    state = turn.state
    cost = position.cost if quantity == position.quantity else _share(position.cost, quantity, position.quantity)
    gained = (price * quantity - cost) * position.direction
    position.cost -= cost
    position.quantity -= quantity
    position.realised += gained
    state.realised_today += gained
    state.realised_total += gained
    slot.realised_today += gained
    slot.realised_total += gained
    event_type = EventType.POSITION_CHANGED
    if position.quantity == 0:
        slot.position, event_type = None, EventType.POSITION_CLOSED
    turn.emit_position(
        event_type, slot.key, position, exit_reason=reason, exit_price=price, realised_pnl=position.realised, fees=position.fees
    )


def closing_rule(slot: Slot, position: Position, order: Order) -> ExitReason:
    """Why a fill of `order` shrinks the position."""
    match order.leg:
        case Leg.STOP:
            return effective_stop(position)[1]
        case Leg.TARGET:
            return ExitReason.TP
        case Leg.ENTRY | Leg.EXIT:
            return slot.exit_reason or ExitReason.MANUAL


def _share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Of a cost, the part that leaves, in steps of 1e-8: what that rounds away leaves with the last part, so that no sum drifts."""
    share = cost * part / whole
    rounded = share.quantize(_COST_STEP)
    return share if share == rounded else rounded
