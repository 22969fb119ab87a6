"""Current exposure against target exposure: the whole decision table."""

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
