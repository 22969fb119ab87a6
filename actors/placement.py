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


def place(user_id: str, *, asked: str | None, dedicated_now: int, dedicated_max: int, packed_load: Mapping[str, int]) -> Placement:
    """The user's own wish first; else a process of its own while there are fewer than `dedicated_max`; else the emptiest packed host."""
    if asked == PlacementKind.DEDICATED or (asked is None and dedicated_now < dedicated_max):
        return Placement(dedicated_host(user_id), PlacementKind.DEDICATED)
    emptiest = min(packed_load, key=lambda host: (packed_load[host], host))
    return Placement(emptiest, PlacementKind.PACKED)
