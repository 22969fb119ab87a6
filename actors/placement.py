"""Where a user's trader lives: its own process, or a host that packs thousands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec


class PlacementKind(StrEnum):
    DEDICATED = "dedicated"
    PACKED = "packed"


class Placement(msgspec.Struct, frozen=True):
    host_id: str
    kind: PlacementKind


class Placer(Protocol):
    """Starts and ends hosts. Ray in production; plain tasks in the one-process harness."""

    async def ensure(self, placement: Placement) -> None:
        """Idempotent: the host runs, or is being started, on return."""
        ...

    async def remove(self, host_id: str) -> None: ...


def packed_host(index: int) -> str:
    return f"packed-{index}"


def dedicated_host(user_id: str) -> str:
    return f"user-{user_id}"


IMBALANCE_MAX = 16
"""By so many users the host that a user's commands go to already may be fuller than the emptiest."""


def place(
    user_id: str, *, asked: str | None, dedicated_now: int, dedicated_max: int, packed_load: Mapping[str, int], served_by: str | None = None
) -> Placement:
    """The user's own wish first; else a process of its own while there are fewer than `dedicated_max`; else a packed host.

    Among these the one that took the user's commands until now (`served_by`), as some may still be on their way to it and
    two hosts must not both take the user for theirs; the emptiest where that one is not open or too full.
    """
    if asked == PlacementKind.DEDICATED or (asked is None and dedicated_now < dedicated_max):
        return Placement(dedicated_host(user_id), PlacementKind.DEDICATED)
    emptiest = min(packed_load, key=lambda host: (packed_load[host], host))
    if served_by is not None and served_by in packed_load and packed_load[served_by] <= packed_load[emptiest] + IMBALANCE_MAX:
        return Placement(served_by, PlacementKind.PACKED)
    return Placement(emptiest, PlacementKind.PACKED)
