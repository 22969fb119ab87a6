"""Hosts that were killed: how soon all their users are restored and reconciled."""

from __future__ import annotations

from statistics import median
from typing import Any

from actors.bench.fan_out import EVENTS_PER_USER, Progress
from actors.bench.market import PRICE, Market, session
from actors.bench.processes import machine
from actors.bench.stage import BATCH, Stage
from actors.user_trader import fold
from runtime.state import encode_state

RUNS = 5
SIGNALS_BEFORE = 3
"""Each user has taken in three signals and holds a position when the hosts die."""


async def cold_start(users: int, *, runs: int = RUNS, on_progress: Progress) -> dict[str, Any]:
    """`seconds`: from the start of the processes until every session is restored and reconciled; median and all runs."""
    seconds: list[float] = []
    async with Stage(users, session) as stage:
        market = Market(stage)
        market.want(session(0))
        await stage.start_hosts()
        await market.quote(PRICE)
        for number in range(SIGNALS_BEFORE):
            on_progress("signals", number, SIGNALS_BEFORE)
            stage.take_events()
            await market.candle()
            await stage.published(EVENTS_PER_USER * users)
            await stage.quiet()
        await _save_half(stage)
        restored: list[int] = []
        for number in range(runs):
            on_progress("starts", number, runs)
            stage.kill_hosts()
            stage.take_events()
            seconds.append(await stage.start_hosts())
            await stage.published(users)
            restored.append(sum(b'"SESSION_RECOVERED"' in payload for _, payload in stage.take_events()))
            await stage.quiet()
    on_progress("starts", runs, runs)
    return {
        "users": users,
        "hosts": len(stage.host_ids),
        "runs": runs,
        "restored": min(restored),
        "seconds": round(median(seconds), 3),
        "seconds_of_each": [round(value, 3) for value in seconds],
        "machine": machine(),
    }


async def _save_half(stage: Stage) -> None:
    """Every other user has a snapshot of his whole past, the others are restored from the journal alone."""
    users = stage.users[::2]
    for start in range(0, len(users), BATCH):
        some = users[start : start + BATCH]
        folded = {user: fold(user, None, records) for user, records in (await stage.journal.read_many(dict.fromkeys(some, 0))).items()}
        await stage.journal.save_snapshots({user: (number, encode_state(state)) for user, (state, number, _) in folded.items()})
