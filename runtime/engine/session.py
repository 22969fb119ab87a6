"""Commands and outside news: the life of a user's session."""

from __future__ import annotations

import msgspec

from runtime.engine.entering import drop_pending, move_on, take_up
from runtime.engine.leaving import alert, exit_all, request_exit
from runtime.engine.sending import advance
from runtime.engine.timing import on_time
from runtime.engine.turn import Turn
from runtime.events import (
    AcceptCommand,
    Announce,
    EventType,
    ExitReason,
    Heartbeat,
    PauseSession,
    RejectCommand,
    RepeatCommand,
    ReportStatus,
    ResumeSession,
    SessionRecovered,
    SquareOff,
    StartSession,
    StopSession,
    SuspendSession,
    UpdateConfig,
)
from runtime.exits import effective_stop
from runtime.halts import covering
from runtime.outages import BrokerChanged, FeedChanged, StoreChanged
from runtime.reconcile import SkipReason
from runtime.session import Mode, OnBreach, SessionConfig
from runtime.state import EngineState, SessionStatus, Slot, net_positions


def on_start(turn: Turn, event: StartSession) -> None:
    """A second START of a running session changes its configuration."""
    state = turn.state
    was_running = state.status is not SessionStatus.STOPPED
    changes = subscription_changes(turn, event.config)
    configure(turn, event.config)
    state.status = SessionStatus.RUNNING
    accept(turn, event.command_id, "START_TRADING", updated=was_running, **changes)
    if not was_running:
        turn.emit(EventType.SESSION_STARTED, session_data(state))


def on_stop(turn: Turn, event: StopSession) -> None:
    if not require_session(turn, event.command_id, "STOP_TRADING"):
        return
    turn.state.status = SessionStatus.STOPPED
    _drop_pending(turn, SkipReason.NOT_RUNNING, "STOP_TRADING came while it waited")
    accept(turn, event.command_id, "STOP_TRADING")
    turn.cancel_entries()
    if event.positions is OnBreach.CLOSE:
        exit_all(turn, ExitReason.MANUAL)
    turn.emit(EventType.SESSION_STOPPED, session_data(turn.state) | {"reason": f"command, positions: {event.positions}"})


def on_pause(turn: Turn, event: PauseSession) -> None:
    if not require_session(turn, event.command_id, "PAUSE_TRADING"):
        return
    turn.state.status = SessionStatus.PAUSED
    _drop_pending(turn, SkipReason.PAUSED, "PAUSE_TRADING came while it waited")
    accept(turn, event.command_id, "PAUSE_TRADING")
    turn.cancel_entries()
    turn.emit(EventType.SESSION_PAUSED, session_data(turn.state))


def on_suspend(turn: Turn, event: SuspendSession) -> None:
    if turn.state.status is SessionStatus.RUNNING:
        turn.state.status = SessionStatus.PAUSED
        _drop_pending(turn, SkipReason.PAUSED, event.reason)
        turn.cancel_entries()
        turn.emit(EventType.SESSION_PAUSED, session_data(turn.state) | {"reason": event.reason})
    if event.cut_off:
        for position in [held for held in turn.state.open_positions if held.mode is Mode.LIVE]:
            level, rule = effective_stop(position)
            alert(turn, position, rule, level or position.entry_price, action="BY_HAND")


def on_resume(turn: Turn, event: ResumeSession) -> None:
    if not require_session(turn, event.command_id, "RESUME_TRADING"):
        return
    state = turn.state
    was_halted, state.halted = state.halted, None
    state.status = SessionStatus.RUNNING
    accept(turn, event.command_id, "RESUME_TRADING")
    if was_halted is not None:
        turn.emit(EventType.RISK_RESUMED, {"reason": "command", "detail": was_halted})
    turn.emit(EventType.SESSION_RESUMED, session_data(state))
    for slot in state.slots.values():
        turn.watch(slot)


def on_update(turn: Turn, event: UpdateConfig) -> None:
    if not require_session(turn, event.command_id, "UPDATE_CONFIG"):
        return
    changes = subscription_changes(turn, event.config)
    configure(turn, event.config)
    accept(turn, event.command_id, "UPDATE_CONFIG", **changes)


def on_square_off(turn: Turn, event: SquareOff) -> None:
    """Flatten now; also a stopped session that kept its positions."""
    if not turn.state.open_positions and not require_session(turn, event.command_id, "SQUARE_OFF"):
        return
    _drop_pending(turn, SkipReason.SUPERSEDED, "by SQUARE_OFF")
    accept(turn, event.command_id, "SQUARE_OFF")
    turn.cancel_entries()
    exit_all(turn, ExitReason.MANUAL)


def on_recovered(turn: Turn, event: SessionRecovered) -> None:
    """A new incarnation: say so, and put every watch and overdue exit in place again."""
    state = turn.state
    state.epoch, was_away, state.store_up = event.epoch, not state.store_up, True  # it is read from the store
    if state.is_idle:
        return
    if was_away:
        turn.emit(EventType.STORE_UP, {"reason": "a new incarnation has read the journal"})
    turn.emit(EventType.SESSION_RECOVERED, session_data(state) | {"epoch": event.epoch})
    for slot in state.slots.values():
        turn.watch(slot)
    if was_away:
        take_up(turn)
    on_time(turn)


def on_status(turn: Turn, event: ReportStatus) -> None:
    state = turn.state
    positions = [
        {"slot": key, "instrument": p.instrument.id, "side": p.side, "quantity": str(p.quantity), "entry_price": str(p.entry_price)}
        for key, slot in state.slots.items()
        if (p := slot.position) is not None
    ]
    orders = [{"order_id": o.order.order_id, "leg": o.order.leg, "status": o.status} for o in state.orders.values()]
    day = {"realised": str(state.realised_today), "fees": str(state.fees_today), "trades": state.trades_today}
    data = session_data(state) | {"halted": state.halted or _halted(state), "positions": positions, "orders": orders, "day": day}
    data |= {
        "total": {"realised": str(state.realised_total), "fees": str(state.fees_total)},
        "books": [_book(turn, slot) for slot in state.slots.values()],
        "net": {instrument: str(quantity) for instrument, quantity in net_positions(state).items()},
    }
    turn.emit(EventType.COMMAND_ACCEPTED, {"command_id": event.command_id, "action": "GET_STATUS"} | data)


def _book(turn: Turn, slot: Slot) -> dict[str, object]:
    subscription = turn.subscriptions.get(slot.key)
    return {
        "slot": slot.key,
        "phase": slot.phase,
        "mode": None if subscription is None else turn.state.config.mode_of(subscription),
        "paused": subscription is not None and subscription.paused,
        "day": {"realised": str(slot.realised_today), "fees": str(slot.fees_today), "trades": slot.trades_today},
        "total": {"realised": str(slot.realised_total), "fees": str(slot.fees_total)},
    }


def on_rejected(turn: Turn, event: RejectCommand) -> None:
    reject(turn, event.command_id, event.action, field=event.field, reason=event.reason, detail=event.detail)


def on_announced(turn: Turn, event: Announce) -> None:
    turn.emit(event.event_type, event.data)


def on_accepted(turn: Turn, event: AcceptCommand) -> None:
    turn.emit(EventType.COMMAND_ACCEPTED, {"command_id": event.command_id, "action": event.action, **event.detail})


def on_repeated(turn: Turn, event: RepeatCommand) -> None:
    turn.emit(EventType.COMMAND_ACCEPTED if event.accepted else EventType.COMMAND_REJECTED, {**event.outcome, "repeated": True})


def on_heartbeat(turn: Turn, event: Heartbeat) -> None:
    state = turn.state
    data: dict[str, object] = {"status": state.status, "open_positions": len(state.open_positions)}
    turn.emit(EventType.HEARTBEAT, data | {"last_tick_age_seconds": event.last_tick_age_seconds})


def on_feed(turn: Turn, event: FeedChanged) -> None:
    """While there is no market data at all, who was silent before says nothing new."""
    state = turn.state
    if state.feed_up != event.up:
        state.feed_up = event.up
        turn.emit(EventType.FEED_UP if event.up else EventType.FEED_DOWN, {"reason": event.reason})
    if not event.up:
        return
    before, state.silent = state.silent, event.silent
    for name in dict.fromkeys(subscription.instrument for subscription in turn.subscriptions.values()):
        if (name in before) != (name in event.silent):
            told = EventType.FEED_DOWN if name in event.silent else EventType.FEED_UP
            turn.emit(told, {"reason": event.reason, "instrument": name})
    if turn.limits.on_silence is OnBreach.CLOSE:
        for key, subscription in turn.subscriptions.items():
            if subscription.instrument in event.silent and (slot := state.slots.get(key)) is not None:
                request_exit(turn, slot, ExitReason.RISK_HALT)


def on_broker(turn: Turn, event: BrokerChanged) -> None:
    if turn.state.broker_up != event.up:
        turn.state.broker_up = event.up
        turn.emit(EventType.BROKER_UP if event.up else EventType.BROKER_DOWN, {"reason": event.reason})


def on_store(turn: Turn, event: StoreChanged) -> None:
    if turn.state.store_up != event.up:
        turn.state.store_up = event.up
        turn.emit(EventType.STORE_UP if event.up else EventType.STORE_DOWN, {"reason": event.reason})
        if event.up:
            take_up(turn)


def _halted(state: EngineState) -> str | None:
    """Why an operator lets this user, or one of his subscriptions, enter nothing."""
    keys = list(state.slots) or [""]
    return next((halt.reason for key in keys if (halt := covering(state.halts, state.user_id, key)) is not None), None)


def session_data(state: EngineState) -> dict[str, object]:
    config = state.config
    return {
        "status": state.status,
        "mode": config.mode,
        "broker": config.broker,
        "capital": str(config.capital),
        "strategies": [subscription.key for subscription in config.subscriptions],
    }


def subscription_changes(turn: Turn, config: SessionConfig) -> dict[str, object]:
    """What COMMAND_ACCEPTED says of them: the settings of those that are new or changed, the keys of those that end."""
    before = {key: each for key, each in turn.subscriptions.items() if key in turn.state.slots}
    after = {each.key: each for each in config.subscriptions}
    subscribed = [
        {"key": key, "new": key not in before} | msgspec.to_builtins(each) for key, each in after.items() if before.get(key) != each
    ]
    unsubscribed = [key for key in before if key not in after]
    return {name: value for name, value in (("subscribed", subscribed), ("unsubscribed", unsubscribed)) if value}


def configure(turn: Turn, config: SessionConfig) -> None:
    """Take the new settings; a slot that is no longer subscribed keeps its position and exits, but takes no more signals."""
    state, before = turn.state, turn.subscriptions
    state.config = config
    turn.subscriptions = {subscription.key: subscription for subscription in config.subscriptions}
    for key in turn.subscriptions:
        state.slots.setdefault(key, Slot(key=key)).protection = None
    for key, slot in [(key, slot) for key, slot in state.slots.items() if key not in turn.subscriptions]:
        if key in before:
            slot.protection = before[key].protection
        drop_pending(turn, slot, SkipReason.NOT_RUNNING, "its strategy is not followed any more")
        turn.cancel_entry(slot)
        if slot.is_blank:
            del state.slots[key]
    for slot in list(state.slots.values()):
        if slot.position is not None:
            advance(turn, slot)
            turn.set_deadline(slot)
            turn.watch(slot)
            move_on(turn, slot)
    on_time(turn)


def _drop_pending(turn: Turn, reason: SkipReason, detail: str) -> None:
    for slot in turn.state.slots.values():
        drop_pending(turn, slot, reason, detail)


def require_session(turn: Turn, command_id: str, action: str) -> bool:
    if turn.state.status is not SessionStatus.STOPPED:
        return True
    detail = f"user {turn.state.user_id!r} has no running session: send START_TRADING first"
    reject(turn, command_id, action, field="user_id", reason="not_running", detail=detail)
    return False


def accept(turn: Turn, command_id: str, action: str, **more: object) -> None:
    turn.emit(EventType.COMMAND_ACCEPTED, {"command_id": command_id, "action": action, "status": turn.state.status} | more)


def reject(turn: Turn, command_id: str, action: str, *, field: str, reason: str, detail: str) -> None:
    data: dict[str, object] = {"command_id": command_id, "action": action, "field": field, "reason": reason, "detail": detail}
    turn.emit(EventType.COMMAND_REJECTED, data)
