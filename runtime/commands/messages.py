"""The command envelope: one model per action, and `parse_command`, which never raises anything but `InvalidCommand`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeAlias, cast

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError, WithJsonSchema, model_validator
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails, from_json, to_json
from pydantic_core.core_schema import DecimalSchema

from runtime.commands.data import Data, HaltData, NoData, StartData, StopData, SubscriptionData, UpdateData
from runtime.commands.errors import InvalidCommand, RejectReason
from runtime.commands.platform import CanaryData, DrainData, HaltTargetData, MoveData, RolloutKey, ScopedHaltData, SignalData
from runtime.commands.subscriptions import SubscriptionKey, UnsubscribeData
from runtime.halts import HaltScope

MAX_BYTES = 64 * 1024
"""A longer message is refused unread."""

_USER_ID = r"^[A-Za-z0-9.@-][A-Za-z0-9_.@-]{0,63}$"
_COMMAND_ID = r"^[ -~]{0,128}$"


class Action(StrEnum):
    START_TRADING = "START_TRADING"
    STOP_TRADING = "STOP_TRADING"
    PAUSE_TRADING = "PAUSE_TRADING"
    RESUME_TRADING = "RESUME_TRADING"
    UPDATE_CONFIG = "UPDATE_CONFIG"
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    PAUSE_SUBSCRIPTION = "PAUSE_SUBSCRIPTION"
    RESUME_SUBSCRIPTION = "RESUME_SUBSCRIPTION"
    SQUARE_OFF = "SQUARE_OFF"
    HALT = "HALT"
    RESUME = "RESUME"
    HALT_ALL = "HALT_ALL"
    RESUME_ALL = "RESUME_ALL"
    PUBLISH_SIGNAL = "PUBLISH_SIGNAL"
    MIGRATE_USER = "MIGRATE_USER"
    DRAIN_HOST = "DRAIN_HOST"
    START_CANARY = "START_CANARY"
    PROMOTE_CANARY = "PROMOTE_CANARY"
    ABORT_CANARY = "ABORT_CANARY"
    GET_STATUS = "GET_STATUS"


def _as_text(value: object) -> object:
    """Publishers that keep users in a table send their number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


UserId: TypeAlias = Annotated[
    str,
    StringConstraints(pattern=_USER_ID),
    BeforeValidator(_as_text),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _USER_ID}, {"type": "integer"}]}),
]


class _Message(Data):
    command_id: Annotated[str, StringConstraints(pattern=_COMMAND_ID)] = ""
    """Unique per intended effect; a repeat within 24 h changes nothing. Empty: derived from content and arrival second."""


class _UserMessage(_Message):
    user_id: UserId


class _PlatformMessage(_Message):
    """Concerns more than one user; answered under `_platform`, whatever `user_id` says."""

    user_id: UserId | None = None


class StartTrading(_UserMessage):
    """Start a user's session, or replace the whole configuration of a running one."""

    action: Literal[Action.START_TRADING]
    data: StartData = StartData()


class StopTrading(_UserMessage):
    """End a user's session."""

    action: Literal[Action.STOP_TRADING]
    data: StopData = StopData()


class PauseTrading(_UserMessage):
    """Take no new entries; exits go on."""

    action: Literal[Action.PAUSE_TRADING]
    data: NoData = NoData()


class ResumeTrading(_UserMessage):
    """Lift a pause or a risk halt of this user."""

    action: Literal[Action.RESUME_TRADING]
    data: NoData = NoData()


class UpdateConfig(_UserMessage):
    """Change part of a running session's configuration."""

    action: Literal[Action.UPDATE_CONFIG]
    data: UpdateData = UpdateData()


class Subscribe(_UserMessage):
    """Follow one more strategy, or state the settings of one that is followed already (the same key) anew."""

    action: Literal[Action.SUBSCRIBE]
    data: SubscriptionData = SubscriptionData()


class Unsubscribe(_UserMessage):
    """Follow a strategy no longer; a position that is kept keeps its exits."""

    action: Literal[Action.UNSUBSCRIBE]
    data: UnsubscribeData


class PauseSubscription(_UserMessage):
    """Take no new entries of one subscription; its exits go on."""

    action: Literal[Action.PAUSE_SUBSCRIPTION]
    data: SubscriptionKey


class ResumeSubscription(_UserMessage):
    """Take entries of a paused subscription again."""

    action: Literal[Action.RESUME_SUBSCRIPTION]
    data: SubscriptionKey


class SquareOff(_UserMessage):
    """Close all positions of this user now; the session goes on."""

    action: Literal[Action.SQUARE_OFF]
    data: NoData = NoData()


class GetStatus(_UserMessage):
    """Answered by COMMAND_ACCEPTED with status, configuration, positions, orders and the day's figures."""

    action: Literal[Action.GET_STATUS]
    data: NoData = NoData()


class _ScopedMessage(_PlatformMessage):
    @model_validator(mode="after")
    def _names_its_user(self) -> Self:
        scope: HaltScope = cast("Any", self).data.scope
        needs = scope in {HaltScope.USER, HaltScope.SUBSCRIPTION}
        if needs != (self.user_id is not None):
            raise ValueError(f"scope `{scope}` {'needs a' if needs else 'takes no'} `user_id`")
        return self


class Halt(_ScopedMessage):
    """The operator's kill switch for the platform, a strategy, a user or one subscription: of what it covers only cancels and
    reduce-only exits leave, until RESUME of the same scope. ROLL_CALL tells who has acknowledged it.
    """

    action: Literal[Action.HALT]
    data: ScopedHaltData


class Resume(_ScopedMessage):
    """Lift the halt of exactly this scope; others stay in force."""

    action: Literal[Action.RESUME]
    data: HaltTargetData


class HaltAll(_PlatformMessage):
    """HALT of the whole platform, until RESUME_ALL or RESUME of that scope."""

    action: Literal[Action.HALT_ALL]
    data: HaltData = HaltData()


class ResumeAll(_PlatformMessage):
    """Lift the halt of the whole platform; halts of other scopes stay in force."""

    action: Literal[Action.RESUME_ALL]
    data: NoData = NoData()


class PublishSignal(_PlatformMessage):
    """Another program's signal, for everybody who follows it by the strategy `external`; the same path as a strategy's own."""

    action: Literal[Action.PUBLISH_SIGNAL]
    data: SignalData


class MigrateUser(_UserMessage):
    """Move a running session to another host; its stops are watched all the while. Answered by the new host."""

    action: Literal[Action.MIGRATE_USER]
    data: MoveData


class DrainHost(_PlatformMessage):
    """Move everybody off a packed host and place nobody there any more. HOST_DRAINED tells when the last one has left."""

    action: Literal[Action.DRAIN_HOST]
    data: DrainData


class StartCanary(_PlatformMessage):
    """Let a share of a strategy's followers hear a candidate in its place, taken back by itself on a stated condition."""

    action: Literal[Action.START_CANARY]
    data: CanaryData


class PromoteCanary(_PlatformMessage):
    """Let all followers of the baseline hear the candidate."""

    action: Literal[Action.PROMOTE_CANARY]
    data: RolloutKey


class AbortCanary(_PlatformMessage):
    """Let all followers of the baseline hear the baseline again."""

    action: Literal[Action.ABORT_CANARY]
    data: RolloutKey


Command: TypeAlias = (
    StartTrading
    | StopTrading
    | PauseTrading
    | ResumeTrading
    | UpdateConfig
    | Subscribe
    | Unsubscribe
    | PauseSubscription
    | ResumeSubscription
    | SquareOff
    | GetStatus
    | Halt
    | Resume
    | HaltAll
    | ResumeAll
    | PublishSignal
    | MigrateUser
    | DrainHost
    | StartCanary
    | PromoteCanary
    | AbortCanary
)
"""A valid command; its `command_id` is never empty once parsed."""

URGENT = frozenset({Action.HALT, Action.RESUME, Action.HALT_ALL, Action.RESUME_ALL})
"""Overtake every other command."""

_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="action")])
_MODELS: Mapping[Action, type[Command]] = {
    Action.START_TRADING: StartTrading,
    Action.STOP_TRADING: StopTrading,
    Action.PAUSE_TRADING: PauseTrading,
    Action.RESUME_TRADING: ResumeTrading,
    Action.UPDATE_CONFIG: UpdateConfig,
    Action.SUBSCRIBE: Subscribe,
    Action.UNSUBSCRIBE: Unsubscribe,
    Action.PAUSE_SUBSCRIPTION: PauseSubscription,
    Action.RESUME_SUBSCRIPTION: ResumeSubscription,
    Action.SQUARE_OFF: SquareOff,
    Action.HALT: Halt,
    Action.RESUME: Resume,
    Action.HALT_ALL: HaltAll,
    Action.RESUME_ALL: ResumeAll,
    Action.PUBLISH_SIGNAL: PublishSignal,
    Action.MIGRATE_USER: MigrateUser,
    Action.DRAIN_HOST: DrainHost,
    Action.START_CANARY: StartCanary,
    Action.PROMOTE_CANARY: PromoteCanary,
    Action.ABORT_CANARY: AbortCanary,
    Action.GET_STATUS: GetStatus,
}


def parse_command(payload: bytes, arrived_at: datetime) -> Command:
    """Read one message of either door. `arrived_at` (aware) only serves to derive a missing `command_id`.

    Raises:
        InvalidCommand: whatever is wrong with it; no other exception leaves here.
    """
    if len(payload) > MAX_BYTES:
        raise InvalidCommand("message", f"{len(payload)} bytes; at most {MAX_BYTES} are read", reason=RejectReason.TOO_LARGE)
    try:
        content: object = from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidCommand("message", f"not JSON in UTF-8: {error}", reason=RejectReason.MALFORMED_JSON) from None
    if not isinstance(content, dict):
        raise InvalidCommand("message", "send a JSON object with action, user_id and data")
    fields = cast("dict[str, Any]", content)
    try:
        command = _COMMAND.validate_json(payload)
    except ValidationError as error:
        refusal = _refusal(error.errors(include_url=False, include_input=False)[0], fields)
    else:
        return command if command.command_id else command.model_copy(update={"command_id": _derived_id(fields, arrived_at)})
    raise refusal  # out here, so that it does not carry pydantic's error, and in it the message, as its context


def command_schema(action: Action) -> dict[str, Any]:
    """JSON Schema (2020-12) of the whole message."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_MODELS[action].model_json_schema(schema_generator=_JsonSchema)}


class _JsonSchema(GenerateJsonSchema):
    def decimal_schema(self, schema: DecimalSchema) -> dict[str, Any]:
        """A number within bounds, or decimal text; pydantic's own would let any text pass."""
        number = super().decimal_schema(schema)["anyOf"][0]
        return {"anyOf": [number, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}]}


def _derived_id(fields: Mapping[str, Any], arrived_at: datetime) -> str:
    """The same content in the same second is one command, whatever the order of its keys."""
    canonical = to_json([_sorted(fields), arrived_at.astimezone(UTC).replace(microsecond=0).isoformat()])
    return f"derived-{hashlib.blake2s(canonical, digest_size=16).hexdigest()}"


def _sorted(value: Any) -> Any:
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: _sorted(fields[name]) for name in sorted(fields)}
        case list():
            return [_sorted(item) for item in cast("list[Any]", value)]
        case _:
            return value


def _refusal(error: ErrorDetails, fields: Mapping[str, Any]) -> InvalidCommand:
    """The first complaint, in our words where pydantic's own are obscure."""
    refuse = partial(
        InvalidCommand,
        action=_readable(fields.get("action"), r"^[A-Z_]{1,40}$"),
        user_id=_readable(_as_text(fields.get("user_id")), _USER_ID),
        command_id=_readable(fields.get("command_id"), _COMMAND_ID),
    )
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return refuse("action", f"must be one of {', '.join(Action)}", reason=RejectReason.UNKNOWN_ACTION)
    field = _path(error["loc"])
    detail = _DETAILS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    return refuse(field, _USER_ID_DETAIL if (field, error["type"]) == ("user_id", "string_pattern_mismatch") else detail)


_DETAILS = {"extra_forbidden": "unknown field: is the name misspelt?", "missing": "missing: this action needs it"}
_USER_ID_DETAIL = "must be 1 to 64 of A-Z a-z 0-9 _ . @ - and not begin with _"


def _path(location: Sequence[int | str]) -> str:
    """`data.risk.max_daily_loss`: without the union's tag in front; a sender's own long key is cut."""
    return ".".join(str(part)[:64] for part in location[1:]) or "message"


def _readable(value: object, pattern: str) -> str:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else ""
