"""What outside programs may send: validated here, once, at the edge; everything behind it trusts the result.

`messages` reads a payload into a `Command`, `data` holds the models people write, `configure` turns them into the
engine's `SessionConfig`.
"""

from __future__ import annotations

from runtime.commands.configure import Catalogue, merge, session_config, session_subscription
from runtime.commands.data import HaltData, NoData, StartData, StopData, SubscriptionData, UpdateData
from runtime.commands.errors import InvalidCommand, RejectReason
from runtime.commands.messages import (
    MAX_BYTES,
    URGENT,
    AbortCanary,
    Action,
    Command,
    DrainHost,
    GetStatus,
    Halt,
    HaltAll,
    MigrateUser,
    PauseSubscription,
    PauseTrading,
    PromoteCanary,
    PublishSignal,
    Resume,
    ResumeAll,
    ResumeSubscription,
    ResumeTrading,
    SquareOff,
    StartCanary,
    StartTrading,
    StopTrading,
    Subscribe,
    Unsubscribe,
    UpdateConfig,
    command_schema,
    parse_command,
)
from runtime.commands.platform import CanaryData, RollbackData, SignalData
from runtime.commands.subscriptions import SubscriptionKey, UnsubscribeData

__all__ = [
    "MAX_BYTES",
    "URGENT",
    "AbortCanary",
    "Action",
    "CanaryData",
    "Catalogue",
    "Command",
    "DrainHost",
    "GetStatus",
    "Halt",
    "HaltAll",
    "HaltData",
    "InvalidCommand",
    "MigrateUser",
    "NoData",
    "PauseSubscription",
    "PauseTrading",
    "PromoteCanary",
    "PublishSignal",
    "RejectReason",
    "Resume",
    "ResumeAll",
    "ResumeSubscription",
    "ResumeTrading",
    "RollbackData",
    "SignalData",
    "SquareOff",
    "StartCanary",
    "StartData",
    "StartTrading",
    "StopData",
    "StopTrading",
    "Subscribe",
    "SubscriptionData",
    "SubscriptionKey",
    "Unsubscribe",
    "UnsubscribeData",
    "UpdateConfig",
    "UpdateData",
    "command_schema",
    "merge",
    "parse_command",
    "session_config",
    "session_subscription",
]
