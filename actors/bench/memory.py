"""What a user costs in a host: resident memory over that of hosts without users."""

from __future__ import annotations

import os
from statistics import median
from typing import Any

from actors.bench.fan_out import EVENTS_PER_USER, Progress
from actors.bench.market import PRICE, Market, session
from actors.bench.processes import machine
from actors.bench.stage import Stage

RUNS = 5
SIGNALS = 5


async def memory(users: int, *, runs: int = RUNS, on_progress: Progress) -> dict[str, Any]:
    """KB of resident memory per user, in a trade, after some signals; buffers that the work needed are part of it.

    Medians over the runs, each with new processes; `kb_per_user_of_each` names them all.
    """
    found: list[tuple[float, float, float]] = []
    hosts = os.cpu_count() or 1
    for number in range(runs):
        on_progress("hosts empty and full", number, runs)
        found.append(await _once(users, hosts))
    on_progress("hosts empty and full", runs, runs)
    empty, restored, trading = (median(column) for column in zip(*found, strict=True))
    return {
        "users": users,
        "hosts": hosts,
        "runs": runs,
        "empty_host_mb": round(empty, 1),
        "restored_kb_per_user": round(restored, 1),
        "kb_per_user": round(trading, 1),
        "kb_per_user_of_each": [round(each, 1) for _, _, each in found],
        "machine": machine(),
    }


async def _once(users: int, hosts: int) -> tuple[float, float, float]:
    """MB of an empty host; kB a user when all are restored, and when all have traded."""
    async with Stage(0, session, hosts=hosts) as stage:
        await stage.start_hosts()
        await stage.quiet()
        empty = stage.rss_kb()
    async with Stage(users, session, hosts=hosts) as stage:
        market = Market(stage)
        market.want(session(0))
        await stage.start_hosts()
        await stage.quiet()
        restored = stage.rss_kb()
        await market.quote(PRICE)
        for _ in range(SIGNALS):
            stage.take_events()
            await market.candle()
            await stage.published(EVENTS_PER_USER * users)
            await stage.quiet()
        trading = stage.rss_kb()
    return empty / hosts / 1024, (restored - empty) / users, (trading - empty) / users
