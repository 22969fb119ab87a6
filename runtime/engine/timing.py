"""What the clock brings: exits that are due, and whatever had to wait for room or for another try."""

from __future__ import annotations

from datetime import datetime

from runtime.engine.entering import move_on
from runtime.engine.leaving import request_exit
from runtime.engine.sending import advance
from runtime.engine.turn import Turn
from runtime.events import ExitReason, WakeAt
from runtime.exits import clock_exit
from runtime.state import Slot


def on_time(turn: Turn) -> None:
    for slot in list(turn.state.slots.values()):
        if _is_due(slot.retry_at, turn.ts) or _is_due(slot.wake_at, turn.ts):
            advance(turn, slot)
            move_on(turn, slot)
        if slot.exit_reason is None and _is_due(slot.deadline, turn.ts):
            request_exit(turn, slot, _clock_rule(turn, slot))


def ask_to_wake(turn: Turn) -> None:
    """At the earliest time at which this engine has something to do without being told."""
    earliest: datetime | None = None
    for slot in turn.state.slots.values():
        if slot.retry_at is not None and (earliest is None or slot.retry_at < earliest):
            earliest = slot.retry_at
        if slot.wake_at is not None and (earliest is None or slot.wake_at < earliest):
            earliest = slot.wake_at
        if slot.deadline is not None and slot.exit_reason is None and (earliest is None or slot.deadline < earliest):
            earliest = slot.deadline
    if earliest != turn.state.wake_at:
        turn.state.wake_at = earliest
        turn.effects.append(WakeAt(earliest))


def _is_due(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now


def _clock_rule(turn: Turn, slot: Slot) -> ExitReason:
    held = slot.position
    instrument = held.instrument if held is not None else slot.entry.signal.instrument if slot.entry is not None else None
    if instrument is None:
        return ExitReason.TIME
    due = clock_exit(turn.protection(slot), instrument, held.opened_at if held is not None else slot.last_entry_at or turn.ts)
    return ExitReason.TIME if due is None else due[1]
