"""The operator's kill switch as a trader obeys it: entries that it covers are called off and no new ones leave."""

from __future__ import annotations

from runtime.engine.entering import drop_pending
from runtime.engine.leaving import request_exit
from runtime.engine.turn import Turn
from runtime.events import EventType, ExitReason, HaltTrading, ResumeTrading
from runtime.halts import Halt, HaltTarget
from runtime.reconcile import SkipReason
from runtime.session import OnBreach


def on_halt(turn: Turn, event: HaltTrading) -> None:
    """A halt of the same scope that is in force already stands as it is."""
    state, target = turn.state, event.target
    if any(halt.target == target for halt in state.halts):
        return
    state.halts.append(Halt(target=target, reason=event.reason))
    slots = [slot for slot in state.slots.values() if target.covers(state.user_id, slot.key)]
    for slot in slots:
        drop_pending(turn, slot, SkipReason.HALTED, event.reason)
    if state.is_idle or not slots:
        return
    for slot in slots:
        turn.cancel_entry(slot)
    if event.positions is OnBreach.CLOSE:
        for slot in slots:
            request_exit(turn, slot, ExitReason.RISK_HALT)
    turn.emit(EventType.RISK_HALT, {"reason": "kill_switch", "detail": event.reason} | _scope(target))


def on_resume(turn: Turn, event: ResumeTrading) -> None:
    """Lifts the halt of exactly this scope; others stay in force."""
    state, target = turn.state, event.target
    lifted = [halt for halt in state.halts if halt.target == target]
    state.halts = [halt for halt in state.halts if halt.target != target]
    covers_something = any(target.covers(state.user_id, key) for key in state.slots)
    if lifted and covers_something and not state.is_idle:
        turn.emit(EventType.RISK_RESUMED, {"reason": "kill_switch", "detail": lifted[0].reason} | _scope(target))


def _scope(target: HaltTarget) -> dict[str, object]:
    named: dict[str, object] = {"scope": str(target.scope)}
    return named if target.strategy is None else named | {"strategy": target.strategy}
