"""What a slot still has to send: entries and exits in slices, stop and target at the venue, cancels; as the order rate allows.

Everything here follows from the state, not from the event that led to it: whatever did not fit, failed or was overtaken is
found again the next time `advance` looks.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from runtime.engine.limits import may_go_on
from runtime.engine.turn import Turn
from runtime.exits import effective_stop, to_tick
from runtime.orders import Leg, OrderStatus
from runtime.session import Mode
from runtime.sizing import largest_order
from runtime.state import ZERO, Entry, OrderState, Position, Slot

UNKNOWN_LEG_PATIENCE = timedelta(seconds=4)
"""Since it was sent: how long an exit waits for a stop or target of unknown fate."""


def advance(turn: Turn, slot: Slot) -> None:
    """Send what can leave now; what cannot sets `slot.wake_at` or waits for an order event."""
    slot.wake_at = None
    if slot.order_ids:
        for order in turn.live(slot):
            if order.cancel_requested and not order.cancel_sent:
                turn.cancel(order)
    if slot.exit_reason is not None:
        _leave(turn, slot)
        return
    if slot.entry is not None and slot.entry.unsent > 0:
        if not may_go_on(turn, slot, slot.entry):
            turn.cancel_entry(slot)
        elif turn.state.store_up:
            _send_slices(turn, slot, slot.entry)
    if slot.position is not None:
        _guard(turn, slot, slot.position)
    elif slot.order_ids:
        _call_off_legs(turn, slot)


def _send_slices(turn: Turn, slot: Slot, entry: Entry) -> None:
    signal = entry.signal
    largest = largest_order(signal.instrument)
    while entry.unsent > 0 and turn.has_room(slot):
        quantity = entry.unsent if largest is None else min(entry.unsent, largest)
        entry.unsent -= quantity
        turn.submit(
            slot,
            leg=Leg.ENTRY,
            mode=entry.mode,
            signal_id=signal.signal_id,
            instrument=signal.instrument,
            side=signal.entry_side,
            quantity=quantity,
            number=entry.slices,
        )
        entry.slices += 1


def _leave(turn: Turn, slot: Slot) -> None:
    """Close at market what is left once nothing else can fill any more.

    An order whose fate is unknown is not waited for: it may stay so for minutes, and the position needs its exit now. Should
    it fill after all, that is closed too. A stop or target is given a few seconds, in which the books settle it, as it may well
    be filling at this very price.
    """
    if slot.retry_at is not None and slot.retry_at <= turn.ts:
        slot.retry_at = None
    if slot.is_blank:
        return
    if slot.entry is not None:
        turn.cancel_entry(slot)
    position = slot.position
    waits, closing = False, ZERO
    for order in turn.live(slot):
        if order.order.leg is Leg.EXIT and position is not None and order.order.side is not position.entry_side:
            closing += order.remaining
        else:
            turn.cancel(order)
            waits = waits or order.status is not OrderStatus.UNKNOWN or _may_still_settle(turn, slot, order)
    if position is None or waits or slot.retry_at is not None:
        return
    missing = position.quantity - closing
    largest = largest_order(position.instrument)
    while missing > 0 and turn.has_room(slot):
        quantity = missing if largest is None else min(missing, largest)
        missing -= quantity
        position.exits_sent += 1
        turn.submit(
            slot,
            leg=Leg.EXIT,
            mode=position.mode,
            signal_id=position.position_id,
            instrument=position.instrument,
            side=position.entry_side.opposite,
            quantity=quantity,
            number=position.exits_sent,
        )


def _may_still_settle(turn: Turn, slot: Slot, order: OrderState) -> bool:
    if order.order.leg not in _LEGS:
        return False
    until = order.order.created_at + UNKNOWN_LEG_PATIENCE
    if until <= turn.ts:
        return False
    slot.wake_at = until if slot.wake_at is None else min(slot.wake_at, until)
    return True


# --- stop and target at the venue ---


def _guard(turn: Turn, slot: Slot, position: Position) -> None:
    """Keep a stop and a target of the open quantity at the venue, where user and venue want it so."""
    config = turn.state.config
    if turn.protection(slot).at_broker and (position.mode is Mode.PAPER or config.native_stops):
        stop = effective_stop(position)[0]
        _hold(turn, slot, position, Leg.STOP, None if stop is None else to_tick(stop, position.instrument))
        _hold(turn, slot, position, Leg.TARGET, position.target)
    elif slot.order_ids:
        _call_off_legs(turn, slot)


def _hold(turn: Turn, slot: Slot, position: Position, leg: Leg, level: Decimal | None) -> None:
    """One leg as the position needs it: cancelled and placed anew where its price has moved, shortened or completed where its quantity has.

    A leg that is being cancelled may still fill, so that its replacement waits until it is final.
    """
    resting = [order for order in turn.live(slot) if order.order.leg is leg]
    excess = sum((order.remaining for order in resting), ZERO) - position.quantity
    limit = max(1, turn.limits.max_orders_per_second - _RESERVED)
    for order in reversed(resting):
        if (_level(order) != level or excess > 0) and turn.has_room(slot, limit):
            turn.cancel(order)
            excess -= order.remaining
    if level is None or leg in position.legs_refused:
        return
    missing = position.quantity - sum((order.remaining for order in resting), ZERO)
    largest = largest_order(position.instrument)
    while missing > 0 and turn.has_room(slot, limit):
        quantity = missing if largest is None else min(missing, largest)
        missing -= quantity
        position.legs_sent += 1
        turn.submit(
            slot,
            leg=leg,
            mode=position.mode,
            signal_id=position.position_id,
            instrument=position.instrument,
            side=position.entry_side.opposite,
            quantity=quantity,
            number=position.legs_sent,
            level=level,
        )


def _call_off_legs(turn: Turn, slot: Slot) -> None:
    for order in turn.live(slot):
        if order.order.leg in _LEGS:
            turn.cancel(order)


def _level(order: OrderState) -> Decimal | None:
    return order.order.stop_price if order.order.leg is Leg.STOP else order.order.limit_price


_LEGS = frozenset({Leg.STOP, Leg.TARGET})
_RESERVED = 2
"""Messages a second that legs leave to others: a stop that trails must not use up the room that an exit needs."""
