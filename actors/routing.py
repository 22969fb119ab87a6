"""From a valid command to the engine input it means."""

from __future__ import annotations

from datetime import datetime

from runtime.commands import Command, GetStatus, PauseTrading, ResumeTrading, SquareOff, StartTrading, StopTrading, UpdateConfig
from runtime.errors import InternalError
from runtime.events import EngineInput, PauseSession, ReportStatus, ResumeSession, StartSession, StopSession
from runtime.events import SquareOff as SquareOffInput
from runtime.events import UpdateConfig as UpdateConfigInput
from runtime.session import SessionConfig


def to_input(command: Command, config: SessionConfig | None, ts: datetime) -> EngineInput:
    """`config` is the session's whole configuration, for START_TRADING and UPDATE_CONFIG."""
    command_id = command.command_id
    match command:
        case StartTrading() if config is not None:
            return StartSession(ts=ts, command_id=command_id, config=config)
        case UpdateConfig() if config is not None:
            return UpdateConfigInput(ts=ts, command_id=command_id, config=config)
        case StopTrading():
            return StopSession(ts=ts, command_id=command_id, positions=command.data.positions)
        case PauseTrading():
            return PauseSession(ts=ts, command_id=command_id)
        case ResumeTrading():
            return ResumeSession(ts=ts, command_id=command_id)
        case SquareOff():
            return SquareOffInput(ts=ts, command_id=command_id)
        case GetStatus():
            return ReportStatus(ts=ts, command_id=command_id)
        case _:
            raise InternalError(f"{command.action} has no engine input")
