"""What a user costs in a host: resident memory over that of hosts without users."""

from __future__ import annotations

from typing import Any

from actors.bench.fan_out import EVENTS_PER_USER, Progress
from actors.bench.market import PRICE, Market, session
from actors.bench.processes import machine
from actors.bench.stage import Stage

SIGNALS = 5


async def memory(users: int, *, on_progress: Progress) -> dict[str, Any]:
    """KB of resident memory per user, in a trade, after some signals; buffers that the work needed are part of it."""
    on_progress("empty hosts", 0, 2)
    async with Stage(0, session) as stage:
        await stage.start_hosts()
        await stage.quiet()
        empty = stage.rss_kb()
    on_progress("full hosts", 1, 2)
    async with Stage(users, session) as stage:
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
        hosts = len(stage.host_ids)
    on_progress("full hosts", 2, 2)
    return {
        "users": users,
        "hosts": hosts,
        "empty_host_mb": round(empty / hosts / 1024, 1),
        "restored_kb_per_user": round((restored - empty) / users, 1),
        "kb_per_user": round((trading - empty) / users, 1),
        "machine": machine(),
    }
