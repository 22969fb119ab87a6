"""Exits: by price, clock, risk, command or signal. Exits may be delayed by the order rate, never refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason, LossLimitTouched, PriceTouched
from runtime.exits import decimal_price, exchange_time, exit_due, ratchet_level
from runtime.market import InstrumentId
from runtime.orders import Leg
from runtime.risk import loss_limit_reached
from runtime.session import OnBreach
from runtime.state import ZERO, EngineState, Position, Slot

EXIT_RETRY = timedelta(seconds=1)
"""Pause before an exit that the broker rejected or cancelled is sent again."""

_CRITICAL = frozenset({ExitReason.SL, ExitReason.TRAIL, ExitReason.RISK_HALT, ExitReason.EXPIRY})


def request_exit(turn: Turn, slot: Slot, reason: ExitReason) -> None:
    """Close the slot's position at market, or as soon as the order in flight and the order rate allow."""
    if slot.position is None or slot.leg is Leg.EXIT:
        return
    slot.exit_wanted = slot.exit_wanted or reason
    if slot.order_id is not None:  # a part-filled entry: stop it first, its end sends the exit
        turn.cancel(turn.state.orders[slot.order_id])
        return
    position = slot.position
    room_at = turn.state.window.room_at(turn.ts, turn.limits.max_orders_per_second)
    if room_at > turn.ts:
        slot.retry_at = room_at
        return
    slot.exit_reason, slot.exit_wanted, slot.retry_at = slot.exit_wanted, None, None
    slot.exit_attempts += 1
    turn.submit(
        slot,
        leg=Leg.EXIT,
        mode=position.mode,
        signal_id=position.position_id,
        instrument=position.instrument,
        side=position.entry_side.opposite,
        quantity=position.quantity,
        attempt=slot.exit_attempts,
    )


def exit_all(turn: Turn, reason: ExitReason) -> None:
    for slot in turn.state.slots.values():
        request_exit(turn, slot, reason)


def on_price(turn: Turn, event: PriceTouched) -> None:
    slot = turn.state.slots.get(event.slot)
    if slot is None or slot.position is None or slot.leg is Leg.EXIT or slot.exit_wanted is not None:
        return
    position = slot.position
    price = Decimal(repr(event.price))
    if breaches_loss_limit(turn.state, {position.instrument.id: price}):
        halt_by_risk(turn, f"daily loss limit {turn.limits.max_daily_loss} reached at {price} of {position.instrument.id}")
    reason = exit_due(position, price)
    if reason is not None:
        alert(turn, position, reason, price)
        request_exit(turn, slot, reason)
        return
    level = ratchet_level(position)
    if level is not None and (price - level) * position.direction >= 0:
        position.best_price = price
        turn.emit_position(EventType.POSITION_CHANGED, slot.key, position, best_price=str(price))
    if slot.leg is None:
        turn.watch(slot)


def on_loss_limit(turn: Turn, event: LossLimitTouched) -> None:
    marks = {
        p.instrument.id: decimal_price(event.marks[p.instrument.id], p.instrument)
        for p in turn.state.open_positions
        if p.instrument.id in event.marks
    }
    if breaches_loss_limit(turn.state, marks):
        halt_by_risk(turn, f"daily loss limit {turn.limits.max_daily_loss} reached by all positions together")


def check_realised_loss(turn: Turn) -> None:
    if breaches_loss_limit(turn.state, {}):
        halt_by_risk(turn, f"daily loss limit {turn.limits.max_daily_loss} reached: net {turn.state.net_today} today")


def halt_by_risk(turn: Turn, detail: str) -> None:
    """Stop entering until RESUME or the next session day; close or keep positions as the user chose."""
    if turn.state.halted is not None:
        return
    turn.state.halted = detail
    turn.emit(EventType.RISK_HALT, {"reason": "max_daily_loss", "detail": detail})
    turn.cancel_entries()
    if turn.limits.on_breach is OnBreach.CLOSE:
        exit_all(turn, ExitReason.RISK_HALT)


def alert(turn: Turn, position: Position, reason: ExitReason, price: Decimal) -> None:
    data: dict[str, object] = {
        "position_id": position.position_id,
        "priority": "CRITICAL" if reason in _CRITICAL else "HIGH",
        "rule": reason,
        "action": "CLOSE",
        "price": str(price),
    }
    turn.emit(EventType.EXIT_ALERT, data)


def on_time(turn: Turn) -> None:
    """Clock exits that are due, and exits that wait for room or for another try."""
    for slot in turn.state.slots.values():
        if slot.exit_wanted is not None and slot.order_id is None and slot.retry_at is not None and slot.retry_at <= turn.ts:
            request_exit(turn, slot, slot.exit_wanted)
        elif (deadline := _deadline(turn, slot)) is not None and deadline <= turn.ts:
            if slot.position is None and slot.order_id is not None:
                turn.cancel(turn.state.orders[slot.order_id])
            request_exit(turn, slot, ExitReason.TIME)


def next_wake(turn: Turn) -> datetime | None:
    """The earliest time at which this engine has something to do without being told."""
    times = [slot.retry_at for slot in turn.state.slots.values() if slot.retry_at is not None]
    for slot in turn.state.slots.values():
        deadline = _deadline(turn, slot)
        if deadline is not None and deadline > turn.ts:
            times.append(deadline)
    return min(times, default=None)


def _deadline(turn: Turn, slot: Slot) -> datetime | None:
    """When the clock closes this slot's position, or its entry order: square-off time or longest holding time."""
    if slot.position is not None:
        if slot.leg is Leg.EXIT or slot.exit_wanted is not None:
            return None
        instrument, opened_at = slot.position.instrument, slot.position.opened_at
    elif slot.order_id is not None:
        order = turn.state.orders[slot.order_id]
        if order.cancel_requested:
            return None
        instrument, opened_at = order.order.instrument, order.order.created_at
    else:
        return None
    protection = turn.protection(slot.key)
    deadlines: list[datetime] = []
    if protection.square_off is not None:
        local = exchange_time(instrument, opened_at)
        square_off = local.replace(hour=protection.square_off.hour, minute=protection.square_off.minute, second=0, microsecond=0)
        deadlines.append(square_off if square_off > local else square_off + timedelta(days=1))
    if protection.max_hold is not None:
        deadlines.append(opened_at + protection.max_hold)
    return min(deadlines, default=None)


def breaches_loss_limit(state: EngineState, marks: Mapping[InstrumentId, Decimal]) -> bool:
    """At these prices (a position without one counts as flat); never again while halted."""
    if state.halted is not None:
        return False
    open_pnl = sum((p.open_pnl(marks[p.instrument.id]) for p in state.open_positions if p.instrument.id in marks), ZERO)
    return loss_limit_reached(state.config.risk, realised=state.net_today, open_pnl=open_pnl)
