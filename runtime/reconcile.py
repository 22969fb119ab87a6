"""Current exposure against target exposure: the whole decision table, and why a target is not followed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from runtime.signals import Side


class Decision(StrEnum):
    ENTER = "ENTER"
    SKIP = "SKIP"
    EXIT = "EXIT"
    REVERSE = "REVERSE"
    """Close, and only when the close is filled enter the other side."""


_TABLE: Mapping[tuple[Side, Side], Decision] = {
    (Side.FLAT, Side.LONG): Decision.ENTER,
    (Side.FLAT, Side.SHORT): Decision.ENTER,
    (Side.FLAT, Side.FLAT): Decision.SKIP,
    (Side.LONG, Side.LONG): Decision.SKIP,
    (Side.SHORT, Side.SHORT): Decision.SKIP,
    (Side.LONG, Side.SHORT): Decision.REVERSE,
    (Side.SHORT, Side.LONG): Decision.REVERSE,
    (Side.LONG, Side.FLAT): Decision.EXIT,
    (Side.SHORT, Side.FLAT): Decision.EXIT,
}


def reconcile(*, current: Side, target: Side) -> Decision:
    return _TABLE[current, target]


class SkipReason(StrEnum):
    """Why a signal led to no entry for this user."""

    COOLDOWN = "cooldown"
    RISK_LIMIT = "risk_limit"
    MARKET_CLOSED = "market_closed"
    PAUSED = "paused"
    HALTED = "halted"
    SAME_SIDE = "same_side"
    FLAT = "flat"
    STALE = "stale"
    SIZE_ZERO = "size_zero"
    NOT_RUNNING = "not_running"
    SUPERSEDED = "superseded"
    INVALID = "invalid"
    EXPIRY = "expiry"
    NO_ATR = "no_atr"
    DUPLICATE = "duplicate"
