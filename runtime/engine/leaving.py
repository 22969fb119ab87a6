"""Exits: by price, risk, command or signal. Exits may be delayed by the order rate, never refused."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason, LossLimitTouched, PriceTouched
from runtime.exits import decimal_price, exit_due, ratchet_level
from runtime.market import InstrumentId
from runtime.risk import loss_limit_reached
from runtime.session import OnBreach
from runtime.state import ZERO, EngineState, Position, Slot

_CRITICAL = frozenset({ExitReason.SL, ExitReason.TRAIL, ExitReason.RISK_HALT, ExitReason.EXPIRY, ExitReason.SURPLUS})


def request_exit(turn: Turn, slot: Slot, reason: ExitReason, *, signal_id: str | None = None) -> None:
    """Close the slot's position at market once its other orders are out of the way; an entry that still fills goes too."""
    if slot.exit_reason is not None or (slot.position is None and slot.entry is None):
        return
    slot.exit_reason, slot.exit_signal = reason, signal_id
    advance(turn, slot)
    if slot.is_blank:  # nothing but unsent slices was there
        slot.exit_reason = slot.exit_signal = None


def exit_all(turn: Turn, reason: ExitReason) -> None:
    for slot in turn.state.slots.values():
        request_exit(turn, slot, reason)


def on_price(turn: Turn, event: PriceTouched) -> None:
    slot = turn.state.slots.get(event.slot)
    if slot is None or slot.position is None or slot.exit_reason is not None:
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
        turn.emit_position(EventType.POSITION_CHANGED, slot.key, position, best_price=price)
        advance(turn, slot)
    if slot.exit_reason is None:
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
    if turn.limits.max_daily_loss is not None and breaches_loss_limit(turn.state, {}):
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


def alert(turn: Turn, position: Position, reason: ExitReason, price: Decimal, *, action: str = "CLOSE") -> None:
    """`action`: what is being done about it, and what to do by hand if that fails."""
    data: dict[str, object] = {
        "position_id": position.position_id,
        "priority": "CRITICAL" if reason in _CRITICAL else "HIGH",
        "rule": reason,
        "action": action,
        "price": str(price),
    }
    turn.emit(EventType.EXIT_ALERT, data)


def breaches_loss_limit(state: EngineState, marks: Mapping[InstrumentId, Decimal]) -> bool:
    """At these prices (a position without one counts as flat); never again while halted."""
    if state.halted is not None or state.config.risk.max_daily_loss is None:
        return False
    open_pnl = (
        ZERO if not marks else sum((p.open_pnl(marks[p.instrument.id]) for p in state.open_positions if p.instrument.id in marks), ZERO)
    )
    return loss_limit_reached(state.config.risk, realised=state.net_today, open_pnl=open_pnl)
