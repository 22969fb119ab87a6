"""JSON Schemas of the public contract: what each event's `data` holds, and what each command may say.

Consumers must ignore fields they do not know: within `v` 1 fields may be added, never renamed, retyped or removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from runtime.commands import Action, command_schema
from runtime.events import EventType, ExitReason
from runtime.halts import HaltScope
from runtime.orders import Leg, OrderType
from runtime.reconcile import Decision, SkipReason
from runtime.rollouts import RolloutState
from runtime.session import Mode
from runtime.signals import OrderSide, Side
from runtime.state import SessionStatus

Schema: TypeAlias = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"


class Field(NamedTuple):
    """One field of an event's data. An optional one may be absent."""

    schema: Schema
    meaning: str
    optional: bool = False


Fields: TypeAlias = Mapping[str, Field]


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(
    values: Iterator[str]
    | type[SkipReason | ExitReason | Leg | OrderType | Mode | OrderSide | Side | Decision | SessionStatus | HaltScope | RolloutState],
) -> Schema:
    return {"enum": [str(value) for value in values]}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_DECIMAL: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$"}
_STATUS = _one_of(SessionStatus)
_SCOPE = _one_of(HaltScope)

_DAY: Schema = {
    "type": "object",
    "properties": {"realised": _DECIMAL, "fees": _DECIMAL, "trades": _COUNT},
    "required": ["realised", "fees", "trades"],
}
_NET: Schema = {"type": "object", "additionalProperties": _DECIMAL}
_SUMMARIES: Schema = {"type": "array", "items": {"type": "object"}}
_REPEATED = Field({"const": True}, "present when this command_id had been answered before: nothing was done again", optional=True)

_SESSION: Fields = {
    "status": Field(_STATUS, "state of the session"),
    "mode": Field(_one_of(Mode), "paper or live"),
    "broker": Field(_TEXT, "where its orders go"),
    "capital": Field(_DECIMAL, "what sizes are computed from"),
    "strategies": Field({"type": "array", "items": _TEXT}, "keys of the subscribed strategies"),
    "epoch": Field(_COUNT, "incarnation of the trader, in SESSION_RECOVERED", optional=True),
    "reason": Field(_TEXT, "why, where nobody asked for it or there is more to say", optional=True),
}
_ORDER: Fields = {
    "order_id": Field(_TEXT, "ours, derived from user, slot, signal and leg"),
    "signal_id": Field(_TEXT, "the signal of an entry; the position of an exit"),
    "slot": Field(_TEXT, "strategy key the order trades for"),
    "leg": Field(_one_of(Leg), "opens, closes now, or waits at the venue as stop or target"),
    "instrument": Field(_TEXT, "contract"),
    "side": Field(_one_of(OrderSide), "order side"),
    "quantity": Field(_DECIMAL, "whole order, in units"),
    "type": Field(_one_of(OrderType), "order type"),
    "mode": Field(_one_of(Mode), "paper or live"),
    "level": Field(_DECIMAL, "price at which a waiting STOP or TARGET trades", optional=True),
    "decided_by": Field(_TEXT, "ORDER_SUBMITTED of an exit: the signal that asked for it, where one did", optional=True),
    "filled_quantity": Field(_DECIMAL, "filled so far, in units", optional=True),
    "price": Field(_DECIMAL, "of this fill", optional=True),
    "fees": Field(_DECIMAL, "of this fill", optional=True),
    "reason": Field(_TEXT, "the broker's, where it refuses, cancels or does not answer", optional=True),
}
_POSITION: Fields = {
    "position_id": Field(_TEXT, "order id of the entry"),
    "slot": Field(_TEXT, "strategy key that holds it"),
    "signal_id": Field(_TEXT, "signal that opened it"),
    "instrument": Field(_TEXT, "contract"),
    "side": Field(_one_of(Side), "exposure to the underlying: a bought put is SHORT"),
    "quantity": Field(_DECIMAL, "units open, 0 once closed"),
    "entry_price": Field(_DECIMAL, "average"),
    "stop": Field(_nullable(_DECIMAL), "price of the contract, null without"),
    "target": Field(_nullable(_DECIMAL), "price of the contract, null without"),
    "best_price": Field(_DECIMAL, "what a trailing stop follows, when it moved", optional=True),
    "exit_price": Field(_DECIMAL, "of this exit fill", optional=True),
    "exit_reason": Field(_one_of(ExitReason), "why it is being closed", optional=True),
    "realised_pnl": Field(_DECIMAL, "of the position so far, before fees", optional=True),
    "fees": Field(_DECIMAL, "of the position so far", optional=True),
}
_RISK: Fields = {
    "reason": Field(_TEXT, "`max_daily_loss`, `kill_switch`, `command` or `new_session`"),
    "detail": Field(_TEXT, "for people"),
    "scope": Field(_SCOPE, "`kill_switch`: what an operator has halted or resumed", optional=True),
    "strategy": Field(_TEXT, "`kill_switch`: name or key of the strategy, where it is one's", optional=True),
}
_OUTSIDE: Fields = {"reason": Field(_TEXT, "for people, may be empty")}

_BY_PREFIX: Mapping[str, Fields] = {
    "SESSION": _SESSION,
    "ORDER": _ORDER,
    "POSITION": _POSITION,
    "RISK": _RISK,
    "FEED": _OUTSIDE | {"instrument": Field(_TEXT, "the one that is silent; without it all market data is meant", optional=True)},
    "BROKER": _OUTSIDE,
    "STORE": _OUTSIDE,
}
_BY_TYPE: Mapping[EventType, Fields] = {
    EventType.COMMAND_ACCEPTED: {
        "command_id": Field(_TEXT, "of the command, sent or derived"),
        "action": Field(_one_of(iter(Action)), "of the command"),
        "status": Field(_STATUS, "of the session, after the command; absent from platform commands", optional=True),
        "updated": Field({"type": "boolean"}, "START_TRADING: whether a running session was changed", optional=True),
        "mode": Field(_one_of(Mode), "GET_STATUS: paper or live", optional=True),
        "broker": Field(_TEXT, "GET_STATUS: where its orders go", optional=True),
        "capital": Field(_DECIMAL, "GET_STATUS: what sizes are computed from", optional=True),
        "strategies": Field({"type": "array", "items": _TEXT}, "GET_STATUS: keys of the subscribed strategies", optional=True),
        "halted": Field(_nullable(_TEXT), "GET_STATUS: why no entries are taken, null if they are", optional=True),
        "positions": Field(_SUMMARIES, "GET_STATUS: slot, instrument, side, quantity, entry_price of each", optional=True),
        "orders": Field(_SUMMARIES, "GET_STATUS: order_id, leg, status of each that is not final", optional=True),
        "day": Field(_DAY, "GET_STATUS: realised, fees, trades", optional=True),
        "total": Field({"type": "object"}, "GET_STATUS: realised and fees since the first session", optional=True),
        "books": Field(_SUMMARIES, "GET_STATUS: slot, phase, mode, paused, day and total of each subscription", optional=True),
        "net": Field(_NET, "GET_STATUS: instrument → units over all books, sold ones negative", optional=True),
        "subscription": Field(_TEXT, "SUBSCRIBE, UNSUBSCRIBE, PAUSE_SUBSCRIPTION, RESUME_SUBSCRIPTION: its key", optional=True),
        "subscribed": Field(
            _SUMMARIES, "settings of each subscription that is `new` or changed, with its `key`; absent where none is", optional=True
        ),
        "unsubscribed": Field(
            {"type": "array", "items": _TEXT}, "keys of the subscriptions that end with this command; absent where none does", optional=True
        ),
        "hosts": Field(_COUNT, "HALT, RESUME, HALT_ALL and RESUME_ALL: trader hosts that were told; ROLL_CALL follows", optional=True),
        "scope": Field(_SCOPE, "HALT, RESUME, HALT_ALL and RESUME_ALL: what is halted or resumed", optional=True),
        "signal_id": Field(_TEXT, "PUBLISH_SIGNAL: id under which its subscribers hear of it", optional=True),
        "strategy_key": Field(_TEXT, "PUBLISH_SIGNAL: what those subscribe to who follow it", optional=True),
        "duplicate": Field({"type": "boolean"}, "PUBLISH_SIGNAL: whether it had been published before and nothing was sent", optional=True),
        "subscribers": Field(_COUNT, "PUBLISH_SIGNAL: sessions that follow it", optional=True),
        "from": Field(_TEXT, "MIGRATE_USER: host that had the user", optional=True),
        "to": Field(_TEXT, "MIGRATE_USER: host that has the user now", optional=True),
        "host": Field(_TEXT, "DRAIN_HOST: the host", optional=True),
        "users": Field(_COUNT, "DRAIN_HOST: users that will move", optional=True),
        "baseline": Field(_TEXT, "canary commands: key of the strategy whose followers are concerned", optional=True),
        "candidate": Field(_TEXT, "canary commands: key of the strategy that a share of them hears", optional=True),
        "share": Field({"type": "number", "minimum": 0, "maximum": 1}, "canary commands: of the followers", optional=True),
        "state": Field(_one_of(RolloutState), "canary commands: what the roll-out is now", optional=True),
        "repeated": _REPEATED,
    },
    EventType.COMMAND_REJECTED: {
        "command_id": Field(_TEXT, "of the command; empty if it could not be read"),
        "action": Field(_TEXT, "of the command; empty if it could not be read"),
        "field": Field(_TEXT, "path of what is wrong, such as `data.risk.max_daily_loss`"),
        "reason": Field(_TEXT, "for programs: `invalid`, `unknown_action`, `unknown_strategy`, `not_running`, …"),
        "detail": Field(_TEXT, "for people"),
        "repeated": _REPEATED,
    },
    EventType.SIGNAL: {
        "signal_id": Field(_TEXT, "the same for every subscriber"),
        "strategy": Field(_TEXT, "name"),
        "strategy_key": Field(_TEXT, "name, instrument, timeframe and a hash of the parameters"),
        "direction": Field(_TEXT, "the strategy's own word, such as BUY_CALL"),
        "current": Field(_one_of(Side), "exposure of the subscription when it came", optional=True),
        "side": Field(_one_of(Side), "exposure to the underlying it asks for"),
        "decision": Field(
            _one_of(Decision),
            "what the two sides ask for; SIGNAL_SKIPPED follows where a guard refuses; absent while an order in flight keeps it waiting: "
            "SIGNAL_DECIDED or SIGNAL_SKIPPED follows",
            optional=True,
        ),
        "position_id": Field(_TEXT, "what an EXIT or a REVERSE closes", optional=True),
        "latency_ms": Field(_NUMBER, "from the close of the candle to the decision, milliseconds of venue time", optional=True),
        "underlying": Field(_TEXT, "instrument it looked at"),
        "instrument": Field(_TEXT, "contract to trade"),
        "rule": Field(_TEXT, "which rule fired"),
        "reason": Field(_TEXT, "for people"),
        "price": Field(_NUMBER, "of the underlying"),
        "contract_price": Field(_nullable(_NUMBER), "of the contract, null if unknown"),
        "stop": Field(_nullable(_NUMBER), "of the contract"),
        "target": Field(_nullable(_NUMBER), "of the contract"),
        "candle_time": Field(_TIME, "start of the candle that decided"),
        "context": Field(
            {"type": "object", "additionalProperties": {"type": ["number", "string", "null"]}}, "every value behind the decision"
        ),
    },
    EventType.SIGNAL_DECIDED: {
        "signal_id": Field(_TEXT, "as in SIGNAL"),
        "strategy": Field(_TEXT, "name"),
        "strategy_key": Field(_TEXT, "as in SIGNAL"),
        "current": Field(_one_of(Side), "exposure of the subscription now that nothing is in flight any more"),
        "side": Field(_one_of(Side), "exposure it asks for"),
        "decision": Field(_one_of(Decision), "what the two sides ask for; SIGNAL_SKIPPED follows where a guard refuses"),
        "position_id": Field(_TEXT, "what an EXIT or a REVERSE closes", optional=True),
        "rule": Field(_TEXT, "as in SIGNAL"),
        "reason": Field(_TEXT, "as in SIGNAL"),
        "latency_ms": Field(_NUMBER, "from the close of the candle to this decision, milliseconds of venue time"),
    },
    EventType.SIGNAL_SKIPPED: {
        "signal_id": Field(_TEXT, "as in SIGNAL"),
        "strategy": Field(_TEXT, "name"),
        "strategy_key": Field(_TEXT, "as in SIGNAL", optional=True),
        "current": Field(_one_of(Side), "exposure of the subscription when it was refused", optional=True),
        "side": Field(_one_of(Side), "exposure it asked for", optional=True),
        "latency_ms": Field(_NUMBER, "from the close of the candle to the refusal, milliseconds of venue time", optional=True),
        "reason": Field(_one_of(SkipReason), "which guard refused"),
        "detail": Field(_TEXT, "for people"),
    },
    EventType.EXIT_ALERT: {
        "position_id": Field(_TEXT, "as in POSITION_OPENED"),
        "priority": Field({"enum": ["CRITICAL", "HIGH", "MEDIUM"]}, "how urgent"),
        "rule": Field(_one_of(ExitReason), "which exit is due"),
        "action": Field(
            _TEXT,
            "recommended and being done: CLOSE; WATCH where the venue lost a stop or target and only the runtime watches; PROTECT or "
            "REVIEW of a position opened by another door; BY_HAND where nothing can leave for the broker, so that its own app must do it",
        ),
        "price": Field(_DECIMAL, "that made it due"),
    },
    EventType.ROLL_CALL: {
        "command_id": Field(_TEXT, "of the HALT or RESUME"),
        "halted": Field({"type": "boolean"}, "true for a halt, false for its end"),
        "scope": Field(_SCOPE, "what it covers"),
        "of_user": Field(_TEXT, "whose, for `user` and `subscription`", optional=True),
        "strategy": Field(_TEXT, "which, for `strategy` and `subscription`", optional=True),
        "hosts": Field(_COUNT, "trader hosts that were told"),
        "acknowledged": Field(_COUNT, "of these, hosts whose traders have all taken it in"),
        "traders": Field(_COUNT, "traders that have taken it in"),
        "missing": Field({"type": "array", "items": _TEXT}, "hosts that have not answered yet"),
        "complete": Field({"type": "boolean"}, "whether none is missing"),
        "seconds": Field(_NUMBER, "since the call"),
    },
    EventType.HOST_DRAINED: {
        "command_id": Field(_TEXT, "of the DRAIN_HOST"),
        "host": Field(_TEXT, "which has no users left"),
        "users": Field(_COUNT, "moved to other hosts"),
    },
    EventType.ROLLOUT_CHANGED: {
        "baseline": Field(_TEXT, "key of the strategy whose followers are concerned"),
        "candidate": Field(_TEXT, "key of the strategy that a share of them hears"),
        "share": Field({"type": "number", "minimum": 0, "maximum": 1}, "of the followers; 1 once promoted"),
        "state": Field(_one_of(RolloutState), "what it is now"),
        "reason": Field(_TEXT, "why, for people"),
    },
    EventType.HEARTBEAT: {
        "status": Field(_STATUS, "of the session"),
        "open_positions": Field(_COUNT, "how many"),
        "last_tick_age_seconds": Field(_nullable(_NUMBER), "null before the first tick"),
    },
}


def event_fields(event_type: EventType) -> Fields:
    return _BY_TYPE[event_type] if event_type in _BY_TYPE else _BY_PREFIX[event_type.partition("_")[0]]


def event_schema(event_type: EventType) -> Schema:
    """JSON Schema of the whole event as published."""
    fields = event_fields(event_type)
    return {
        "$schema": DRAFT,
        "title": event_type,
        "type": "object",
        "properties": {
            "v": {"const": 1},
            "event_id": _TEXT,
            "seq": {"type": "integer", "minimum": 1},
            "type": {"const": event_type},
            "user_id": _TEXT,
            "ts": _TIME,
            "data": {
                "type": "object",
                "properties": {name: field.schema | {"description": field.meaning} for name, field in fields.items()},
                "required": [name for name, field in fields.items() if not field.optional],
            },
        },
        "required": ["v", "event_id", "seq", "type", "user_id", "ts", "data"],
    }


def schemas() -> dict[str, Schema]:
    """Every schema of the contract by file name: `commands/START_TRADING.json`, `events/SIGNAL.json`, …"""
    commands = {f"commands/{action}.json": command_schema(action) for action in Action}
    return commands | {f"events/{event_type}.json": event_schema(event_type) for event_type in EventType}
