"""Where the processor time of a host goes."""

from __future__ import annotations

import pstats
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

_Function: TypeAlias = tuple[str, int, str]
"""(file, line, name); file "~" for what is written in C."""

_PARTS: Mapping[str, str] = {
    "runtime/paper.py": "paper desk",
    "adapters/brokers": "paper desk",
    "runtime/": "engine",
    "decimal.py": "engine",
    "actors/outbox.py": "publishing",
    "adapters/redis_bus": "publishing",
    "site-packages/redis": "publishing",
    "actors/projection.py": "collections",
    "adapters/mongo/store.py": "collections",
    "adapters/documents.py": "collections",
    "adapters/mongo": "journal and driver",
    "site-packages/motor": "journal and driver",
    "site-packages/pymongo": "journal and driver",
    "site-packages/bson": "journal and driver",
    "concurrent/futures": "journal and driver",
    "actors/": "host",
    "site-packages/sortedcontainers": "host",
    "asyncio/": "event loop",
    "selectors.py": "event loop",
}
"""The first that a file's path contains."""
_WAITING = ("select.epoll", "select.poll", "lock")


def parts_of(profiles: Iterable[Path]) -> dict[str, float]:
    """Share of each part of a host in the time its loop's thread was busy, largest first. C functions count for their callers.

    The threads in which the database driver encodes and waits are not in it.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    for path in profiles:
        stats = cast("Any", pstats.Stats(str(path))).stats
        for function, (_, _, own, _, callers) in cast(
            "dict[_Function, tuple[int, int, float, float, dict[_Function, Any]]]", stats
        ).items():
            if any(name in function[2] for name in _WAITING):
                continue
            if function[0] == "~":
                for caller, (_, _, taken, _) in callers.items():
                    seconds[_part(caller[0])] += taken
            else:
                seconds[_part(function[0])] += own
    whole = sum(seconds.values()) or 1.0
    return {part: round(taken / whole, 3) for part, taken in sorted(seconds.items(), key=lambda item: -item[1])}


def _part(file: str) -> str:
    return next((part for piece, part in _PARTS.items() if piece in file), "other")
