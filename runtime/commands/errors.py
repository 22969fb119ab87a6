"""A command that is refused, with all that its `COMMAND_REJECTED` event needs."""

from __future__ import annotations

from enum import StrEnum

from runtime.errors import InvalidInput


class RejectReason(StrEnum):
    """Why a command is refused: the word programs act on. The `detail` beside it is for people."""

    TOO_LARGE = "too_large"
    MALFORMED_JSON = "malformed_json"
    UNKNOWN_ACTION = "unknown_action"
    INVALID = "invalid"
    UNKNOWN_STRATEGY = "unknown_strategy"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_BROKER = "unknown_broker"
    LIVE_UNAVAILABLE = "live_unavailable"
    NOT_RUNNING = "not_running"
    NOT_SUBSCRIBED = "not_subscribed"
    NO_ROLLOUT = "no_rollout"
    UNKNOWN_HOST = "unknown_host"
    OVERLOADED = "overloaded"


class InvalidCommand(InvalidInput):
    """A refused command. `action`, `user_id` and `command_id` are those of the message, "" where they could not be read.

    `detail` never repeats what was sent except an action's name: a token in the wrong place must not reach an event or a log.
    """

    def __init__(
        self,
        field: str,
        detail: str,
        *,
        reason: RejectReason = RejectReason.INVALID,
        action: str = "",
        user_id: str = "",
        command_id: str = "",
    ) -> None:
        super().__init__(field, "as sent", detail)
        self.reason = reason
        self.detail = detail
        self.action = action
        self.user_id = user_id
        self.command_id = command_id

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}"

    def event_data(self) -> dict[str, object]:
        """The `data` of the COMMAND_REJECTED event."""
        return {
            "command_id": self.command_id,
            "action": self.action,
            "field": self.field,
            "reason": str(self.reason),
            "detail": self.detail,
        }
