"""`TradingEngine`: one user's reconciling, sizing, protecting and executing, as a fold over its inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from runtime.engine import entering, fills, leaving, session, subscribing
from runtime.engine.turn import Turn
from runtime.events import (
    AcceptCommand,
    BrokerChanged,
    Effect,
    EngineInput,
    EventType,
    FeedChanged,
    HaltTrading,
    Heartbeat,
    LossLimitTouched,
    PauseSession,
    PauseSubscription,
    PriceTouched,
    RejectCommand,
    RepeatCommand,
    ReportStatus,
    ResumeSession,
    ResumeSubscription,
    ResumeTrading,
    SessionRecovered,
    SignalArrived,
    SquareOff,
    StartSession,
    StopSession,
    Subscribe,
    SuspendSession,
    TimeAdvanced,
    Unsubscribe,
    UpdateConfig,
)
from runtime.market import IST, InstrumentId
from runtime.orders import OrderAbsent, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected, OrderUnknown
from runtime.signals import Signal
from runtime.state import ZERO, EngineState

_HANDLERS: Mapping[type, Callable[[Turn, Any], None]] = {
    StartSession: session.on_start,
    StopSession: session.on_stop,
    PauseSession: session.on_pause,
    ResumeSession: session.on_resume,
    UpdateConfig: session.on_update,
    Subscribe: subscribing.on_subscribe,
    Unsubscribe: subscribing.on_unsubscribe,
    PauseSubscription: subscribing.on_pause,
    ResumeSubscription: subscribing.on_resume,
    SquareOff: session.on_square_off,
    ReportStatus: session.on_status,
    RejectCommand: session.on_rejected,
    AcceptCommand: session.on_accepted,
    RepeatCommand: session.on_repeated,
    Heartbeat: session.on_heartbeat,
    HaltTrading: session.on_halt,
    ResumeTrading: session.on_platform_resume,
    SessionRecovered: session.on_recovered,
    FeedChanged: session.on_feed,
    BrokerChanged: session.on_broker,
    SignalArrived: lambda turn, event: entering.on_signal(turn, event.signal),
    SuspendSession: session.on_suspend,
    PriceTouched: leaving.on_price,
    LossLimitTouched: leaving.on_loss_limit,
    TimeAdvanced: lambda turn, _: leaving.on_time(turn),
    OrderAccepted: fills.on_order_event,
    OrderRejected: fills.on_order_event,
    OrderFilled: fills.on_order_event,
    OrderCancelled: fills.on_order_event,
    OrderUnknown: fills.on_order_event,
    OrderAbsent: fills.on_order_event,
}


class TradingEngine:
    """No clock, no I/O, no randomness: the same inputs always give the same effects and the same state.

    `told`: the public events that anybody listens to, None for all. The others are counted in `state.seq` and not composed.
    """

    __slots__ = ("_told", "state")

    def __init__(self, state: EngineState, *, told: Collection[EventType] | None = None) -> None:
        self.state = state
        self._told = told

    def process(self, event: EngineInput) -> list[Effect]:
        """Apply one input. The caller makes it durable before it acts on the effects."""
        turn = Turn(self.state, event.ts, self._told)
        if isinstance(event, _COMMANDS) and not _is_news(self.state, event.command_id):
            return turn.effects
        _roll_day(turn)
        _HANDLERS[type(event)](turn, event)
        turn.wake_at(leaving.next_wake(turn))
        return turn.effects

    def has_seen(self, signal: Signal) -> bool:
        return entering.has_seen(self.state, signal)

    def loss_limit_reached(self, marks: Mapping[InstrumentId, float]) -> bool:
        """Whether the open positions at these prices, with what is realised today, use up the daily loss limit."""
        return leaving.breaches_loss_limit(self.state, {name: Decimal(repr(price)) for name, price in marks.items()})

    def restore_watches(self) -> list[Effect]:
        """Watches and wake-up as the state implies them, for a host that has just loaded it."""
        turn = Turn(self.state, self.state.wake_at or _EPOCH)
        for slot in self.state.slots.values():
            if slot.position is not None and slot.leg is None:
                turn.watch(slot)
        return turn.effects


_COMMANDS = (
    StartSession,
    StopSession,
    PauseSession,
    ResumeSession,
    UpdateConfig,
    Subscribe,
    Unsubscribe,
    PauseSubscription,
    ResumeSubscription,
    SquareOff,
    RejectCommand,
    AcceptCommand,
)
_COMMANDS_REMEMBERED = 32
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _is_news(state: EngineState, command_id: str) -> bool:
    if command_id in state.recent_commands:
        return False
    state.recent_commands.append(command_id)
    del state.recent_commands[:-_COMMANDS_REMEMBERED]
    return True


def _roll_day(turn: Turn) -> None:
    """A new session day starts its counts afresh and lifts a risk halt of the day before."""
    state = turn.state
    day = turn.ts.astimezone(IST).date()
    if state.day is not None and day <= state.day:
        return
    first, state.day = state.day is None, day
    if first:
        return
    state.realised_today = state.fees_today = ZERO
    state.trades_today = state.window.today = 0
    for slot in state.slots.values():
        slot.trades_today = 0
    if state.halted is not None:
        turn.emit(EventType.RISK_RESUMED, {"reason": "new_session", "detail": state.halted})
        state.halted = None
