"""`TradingEngine`: one user's reconciling, sizing, protecting and executing, as a fold over its inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from runtime.accounts import AccountReport
from runtime.engine import account, entering, fills, halting, leaving, session, subscribing, timing
from runtime.engine.turn import Turn
from runtime.events import (
    AcceptCommand,
    Announce,
    Effect,
    EngineInput,
    EventType,
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
from runtime.outages import BrokerChanged, FeedChanged, StoreChanged
from runtime.session import SessionConfig, Subscription
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
    HaltTrading: halting.on_halt,
    ResumeTrading: halting.on_resume,
    Announce: session.on_announced,
    SessionRecovered: session.on_recovered,
    FeedChanged: session.on_feed,
    BrokerChanged: session.on_broker,
    StoreChanged: session.on_store,
    AccountReport: account.on_account,
    SignalArrived: entering.on_signal,
    SuspendSession: session.on_suspend,
    PriceTouched: leaving.on_price,
    LossLimitTouched: leaving.on_loss_limit,
    TimeAdvanced: lambda turn, _: timing.on_time(turn),
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

    __slots__ = ("_config", "_day", "_subscriptions", "_told", "_ts", "state")

    def __init__(self, state: EngineState, *, told: Collection[EventType] | None = None) -> None:
        self.state = state
        self._told = told
        self._config: SessionConfig | None = None
        self._subscriptions: Mapping[str, Subscription] = {}
        self._ts, self._day = _EPOCH, _EPOCH.date()

    def process(self, event: EngineInput) -> list[Effect]:
        """Apply one input. The caller makes it durable before it acts on the effects."""
        state, kind = self.state, type(event)
        turn = self._turn(event.ts)
        if kind in _COMMANDS and not _is_news(state, event):
            return turn.effects
        if turn.day != state.day:
            _roll_day(turn)
        _HANDLERS[kind](turn, event)
        timing.ask_to_wake(turn)
        return turn.effects

    def has_seen(self, signal: Signal) -> bool:
        return entering.has_seen(self.state, signal)

    def loss_limit_reached(self, marks: Mapping[InstrumentId, float]) -> bool:
        """Whether the open positions at these prices, with what is realised today, use up the daily loss limit."""
        return leaving.breaches_loss_limit(self.state, {name: Decimal(repr(price)) for name, price in marks.items()})

    def restore_watches(self) -> list[Effect]:
        """Watches and wake-up as the state implies them, for a host that has just loaded it."""
        turn = self._turn(self.state.wake_at or _EPOCH)
        for slot in self.state.slots.values():
            if slot.position is not None and slot.exit_reason is None:
                turn.watch(slot)
        return turn.effects

    def _turn(self, ts: datetime) -> Turn:
        config = self.state.config
        if config is not self._config:
            self._config, self._subscriptions = config, {subscription.key: subscription for subscription in config.subscriptions}
        if ts is not self._ts:  # an order's submission, acceptance and fill come in one breath, at one time
            self._ts, self._day = ts, ts.astimezone(IST).date()
        return Turn(self.state, ts, self._day, self._subscriptions, self._told)


_COMMANDS = frozenset(
    (
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
)
_COMMANDS_REMEMBERED = 32
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _is_news(state: EngineState, command: Any) -> bool:
    if command.command_id in state.recent_commands:
        return False
    state.recent_commands.append(command.command_id)
    del state.recent_commands[:-_COMMANDS_REMEMBERED]
    return True


def _roll_day(turn: Turn) -> None:
    """A new session day starts its counts afresh and lifts a risk halt of the day before. Late news of an earlier day does not turn it back."""
    state, day = turn.state, turn.day
    if state.day is not None and day <= state.day:
        return
    first, state.day = state.day is None, day
    if first:
        return
    state.realised_today = state.fees_today = ZERO
    state.trades_today = state.window.today = 0
    state.unfilled.clear()
    for slot in state.slots.values():
        slot.realised_today = slot.fees_today = ZERO
        slot.trades_today = 0
    if state.halted is not None:
        turn.emit(EventType.RISK_RESUMED, {"reason": "new_session", "detail": state.halted})
        state.halted = None
