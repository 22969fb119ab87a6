"""From a valid command to the engine input it means."""

from __future__ import annotations

from datetime import datetime

from runtime import commands, events
from runtime.errors import InternalError
from runtime.session import SessionConfig, Subscription


def to_input(
    command: commands.Command, ts: datetime, *, config: SessionConfig | None = None, subscription: Subscription | None = None
) -> events.EngineInput:
    """`config` is the session's whole configuration, for START_TRADING and UPDATE_CONFIG; `subscription` what SUBSCRIBE asks for."""
    command_id = command.command_id
    match command:
        case commands.StartTrading() if config is not None:
            return events.StartSession(ts=ts, command_id=command_id, config=config)
        case commands.UpdateConfig() if config is not None:
            return events.UpdateConfig(ts=ts, command_id=command_id, config=config)
        case commands.Subscribe() if subscription is not None:
            return events.Subscribe(ts=ts, command_id=command_id, subscription=subscription)
        case commands.Unsubscribe(data=data):
            return events.Unsubscribe(ts=ts, command_id=command_id, key=data.subscription, positions=data.positions)
        case commands.PauseSubscription(data=data):
            return events.PauseSubscription(ts=ts, command_id=command_id, key=data.subscription)
        case commands.ResumeSubscription(data=data):
            return events.ResumeSubscription(ts=ts, command_id=command_id, key=data.subscription)
        case commands.StopTrading(data=data):
            return events.StopSession(ts=ts, command_id=command_id, positions=data.positions)
        case commands.PauseTrading():
            return events.PauseSession(ts=ts, command_id=command_id)
        case commands.ResumeTrading():
            return events.ResumeSession(ts=ts, command_id=command_id)
        case commands.SquareOff():
            return events.SquareOff(ts=ts, command_id=command_id)
        case commands.GetStatus():
            return events.ReportStatus(ts=ts, command_id=command_id)
        case _:
            raise InternalError(f"{command.action} has no engine input")
