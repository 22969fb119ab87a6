"""What enters a `TradingEngine` (inputs, journaled), what leaves it (effects), and what users hear (`PublicEvent`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from runtime.accounts import AccountReport
from runtime.halts import HaltTarget
from runtime.market import IST, InstrumentId
from runtime.orders import Order, OrderAbsent, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected, OrderUnknown
from runtime.outages import BrokerChanged, FeedChanged, StoreChanged
from runtime.session import OnBreach, SessionConfig, Subscription
from runtime.signals import Signal


class EventType(StrEnum):
    """Types of `PublicEvent`: the names other people's programs listen for."""

    SESSION_STARTED = "SESSION_STARTED"
    SESSION_STOPPED = "SESSION_STOPPED"
    SESSION_PAUSED = "SESSION_PAUSED"
    SESSION_RESUMED = "SESSION_RESUMED"
    SESSION_RECOVERED = "SESSION_RECOVERED"
    COMMAND_ACCEPTED = "COMMAND_ACCEPTED"
    COMMAND_REJECTED = "COMMAND_REJECTED"
    SIGNAL = "SIGNAL"
    SIGNAL_DECIDED = "SIGNAL_DECIDED"
    SIGNAL_SKIPPED = "SIGNAL_SKIPPED"
    ORDER_SUBMITTED = "ORDER_SUBMITTED"
    ORDER_ACCEPTED = "ORDER_ACCEPTED"
    ORDER_PARTIALLY_FILLED = "ORDER_PARTIALLY_FILLED"
    ORDER_FILLED = "ORDER_FILLED"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    ORDER_REJECTED = "ORDER_REJECTED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    POSITION_OPENED = "POSITION_OPENED"
    POSITION_CHANGED = "POSITION_CHANGED"
    POSITION_CLOSED = "POSITION_CLOSED"
    EXIT_ALERT = "EXIT_ALERT"
    RISK_HALT = "RISK_HALT"
    RISK_RESUMED = "RISK_RESUMED"
    FEED_DOWN = "FEED_DOWN"
    FEED_UP = "FEED_UP"
    BROKER_DOWN = "BROKER_DOWN"
    BROKER_UP = "BROKER_UP"
    STORE_DOWN = "STORE_DOWN"
    STORE_UP = "STORE_UP"
    ROLL_CALL = "ROLL_CALL"
    HOST_DRAINED = "HOST_DRAINED"
    ROLLOUT_CHANGED = "ROLLOUT_CHANGED"
    HEARTBEAT = "HEARTBEAT"


class ExitReason(StrEnum):
    SL = "SL"
    TP = "TP"
    TRAIL = "TRAIL"
    SIGNAL = "SIGNAL"
    REVERSAL = "REVERSAL"
    TIME = "TIME"
    EXPIRY = "EXPIRY"
    RISK_HALT = "RISK_HALT"
    MANUAL = "MANUAL"
    EXTERNAL = "EXTERNAL"
    """Opened or closed by another door, such as the broker's own app."""
    SURPLUS = "SURPLUS"
    """Two orders that each closed the position were both filled: what went beyond it is flattened."""


# --- inputs ---------------------------------------------------------------------------------------------------------


class StartSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """START_TRADING: begin, or change the configuration of a running session."""

    ts: datetime
    command_id: str
    config: SessionConfig


class StopSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    ts: datetime
    command_id: str
    positions: OnBreach = OnBreach.KEEP


class PauseSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    ts: datetime
    command_id: str


class ResumeSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Lifts a pause and a risk halt of this user, never the platform's kill switch."""

    ts: datetime
    command_id: str


class UpdateConfig(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The whole new configuration; what the command left out was filled in by the supervisor from the current one."""

    ts: datetime
    command_id: str
    config: SessionConfig


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Follow one more strategy, or change the settings of one that is followed already (the same key)."""

    ts: datetime
    command_id: str
    subscription: Subscription


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Follow the strategy `key` no longer. A position that is kept keeps the exits it was opened with."""

    ts: datetime
    command_id: str
    key: str
    positions: OnBreach = OnBreach.KEEP


class PauseSubscription(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No entries of the strategy `key` until `ResumeSubscription`; its exits go on."""

    ts: datetime
    command_id: str
    key: str


class ResumeSubscription(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    ts: datetime
    command_id: str
    key: str


class SquareOff(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Flatten this user now."""

    ts: datetime
    command_id: str


class RejectCommand(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A command of this user was refused before it reached the engine; the user hears of it in its own sequence."""

    ts: datetime
    command_id: str
    action: str
    field: str
    reason: str
    detail: str


class AcceptCommand(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A command that concerns the platform as a whole took effect."""

    ts: datetime
    command_id: str
    action: str
    detail: dict[str, Any] = {}


class RepeatCommand(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A command id that was answered before: the first outcome is said again and nothing changes."""

    ts: datetime
    command_id: str
    accepted: bool
    outcome: dict[str, Any]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    ts: datetime
    last_tick_age_seconds: float | None


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    ts: datetime
    command_id: str


class HaltTrading(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The operator's kill switch: of what `target` covers only cancels and reduce-only exits leave until `ResumeTrading`."""

    ts: datetime
    command_id: str
    reason: str
    positions: OnBreach = OnBreach.KEEP
    target: HaltTarget = HaltTarget()


class ResumeTrading(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Lifts the halt of exactly this target."""

    ts: datetime
    command_id: str
    target: HaltTarget = HaltTarget()


class Announce(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The platform has something to say of itself: what its voice, the user `_platform`, publishes as it stands."""

    ts: datetime
    event_type: EventType
    data: dict[str, Any]


class SessionRecovered(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """First input of a new incarnation; writing it to the journal fences the old one."""

    ts: datetime
    epoch: int


class SignalArrived(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A signal as it reached the trader, at venue time `ts`. `last_price`: the contract's last trade then, where it is known."""

    ts: datetime
    signal: Signal
    last_price: float | None = None


class SuspendSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The host sets a trader aside after a fault of its own: no entries until RESUME; exits go on.

    `cut_off`: they do not, as nothing of this account can leave for the broker until somebody has mended it.
    """

    ts: datetime
    reason: str
    cut_off: bool = False


class PriceTouched(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A quote of `instrument` reached a level that the engine had asked to watch for `slot`."""

    ts: datetime
    slot: str
    instrument: InstrumentId
    price: float
    bid: float | None = None
    ask: float | None = None


class LossLimitTouched(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The marks of several open positions together reach the daily loss limit."""

    ts: datetime
    marks: dict[InstrumentId, float]


class TimeAdvanced(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """The clock reached the time of the engine's last `WakeAt`."""

    ts: datetime


EngineInput: TypeAlias = (
    StartSession
    | StopSession
    | PauseSession
    | ResumeSession
    | UpdateConfig
    | Subscribe
    | Unsubscribe
    | PauseSubscription
    | ResumeSubscription
    | SquareOff
    | ReportStatus
    | RejectCommand
    | AcceptCommand
    | RepeatCommand
    | Heartbeat
    | HaltTrading
    | ResumeTrading
    | Announce
    | SessionRecovered
    | SignalArrived
    | SuspendSession
    | PriceTouched
    | LossLimitTouched
    | TimeAdvanced
    | FeedChanged
    | BrokerChanged
    | StoreChanged
    | AccountReport
    | OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCancelled
    | OrderUnknown
    | OrderAbsent
)

# --- effects --------------------------------------------------------------------------------------------------------


class PublicEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a user hears, in the wire form of the Redis contract. `seq` grows by one per user, without a gap, for ever."""

    v: int = 1
    event_id: str
    seq: int
    type: EventType
    user_id: str
    ts: datetime
    data: dict[str, object] = {}


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """What the user hears. `facts` tell the event's data, once somebody reads it: a backtest reads none of its millions."""

    user_id: str
    seq: int
    type: EventType
    ts: datetime
    facts: Callable[[], dict[str, object]]

    @property
    def event(self) -> PublicEvent:
        event_id = f"{self.user_id}:{self.seq}"
        ts = self.ts.astimezone(IST)
        return PublicEvent(event_id=event_id, seq=self.seq, type=self.type, user_id=self.user_id, ts=ts, data=self.facts())


class SubmitOrder(msgspec.Struct, frozen=True, gc=False):
    """Send `order` once."""

    order: Order


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    order_id: str


class Watch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Wake `slot` when a price of `instrument` is at or below `low`, or at or above `high`. Replaces its earlier watch."""

    slot: str
    instrument: InstrumentId
    low: float | None
    high: float | None


class Unwatch(msgspec.Struct, frozen=True, gc=False):
    slot: str


class WakeAt(msgspec.Struct, frozen=True, gc=False):
    """Send `TimeAdvanced` once the clock reaches `ts` (None: no wake-up wanted). Replaces the earlier one."""

    ts: datetime | None


Effect: TypeAlias = Publish | SubmitOrder | CancelOrder | Watch | Unwatch | WakeAt


class JournalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One input of one user's engine and what it told the user. `number` grows by one per user; (user_id, number) is unique.

    `input` and `events` are JSON text: `EngineInput` (tagged by `type`) and a list of `PublicEvent`.
    `last_seq` is the seq of the newest public event up to and including this record.
    """

    user_id: str
    number: int
    epoch: int
    ts: datetime
    input: str
    events: tuple[str, ...] = ()
    last_seq: int = 0
