"""One tick that reaches the stops of one position in a hundred: how soon their orders are out."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from actors.bench.fan_out import EVENTS_PER_USER, Progress, over_runs
from actors.bench.market import PRICE, Market, session
from actors.bench.processes import machine
from actors.bench.stage import Stage
from runtime.errors import InternalError, InvalidInput
from runtime.session import Level, LevelUnit, Protection, SessionConfig

GROUPS = 100
TICKS = 30
WARM_UP = 3
STEP = Decimal("0.10")
FIRST = Decimal(10)
"""The stop of group k lies FIRST + k · STEP below the entry."""


async def ticks(users: int, *, ticks: int = TICKS, on_progress: Progress) -> dict[str, Any]:
    """Milliseconds are medians over the ticks of each tick's own p50, p99 and last over its orders.

    `order_ms`: from the tick's arrival in the host until the exit is journaled and submitted. `event_ms`: from the tick's
    publication until the order's event is on Redis, as an outside listener would see it.

    Raises:
        InvalidInput: fewer users than groups, so that some tick would touch nobody.
    """
    if users < GROUPS:
        raise InvalidInput("--users", users, f"ticks need {GROUPS} at least: each touches one position in {GROUPS}")
    ordered, heard = list[list[float]](), list[list[float]]()
    async with Stage(users, _guarded) as stage:
        market = Market(stage)
        market.want(_guarded(0))
        await stage.start_hosts()
        await market.quote(PRICE)
        await market.candle()
        await stage.published(EVENTS_PER_USER * users)
        for number in range(WARM_UP + ticks):
            on_progress("ticks", number, WARM_UP + ticks)
            await stage.quiet()
            stage.take_events()
            stage.drop_samples()
            touched = len(range(number, users, GROUPS))
            sent_at_ms = time.time_ns() / 1e6
            await market.quote(float(Decimal(str(PRICE)) - FIRST - STEP * number))
            await stage.published(EVENTS_PER_USER * touched)
            await stage.quiet()
            events = stage.take_events()
            samples = await stage.samples("tick_to_exit_order", touched)
            if len(samples) != touched:
                raise InternalError(f"tick {number} reached {touched} stops, {len(samples)} orders left")
            if number >= WARM_UP:
                ordered.append(samples)
                heard.append([ms - sent_at_ms for ms, payload in events if b'"ORDER_SUBMITTED"' in payload])
        hosts = len(stage.host_ids)
    on_progress("ticks", WARM_UP + ticks, WARM_UP + ticks)
    return {
        "users": users,
        "hosts": hosts,
        "ticks": ticks,
        "stops_per_tick": users // GROUPS,
        "order_ms": over_runs(ordered),
        "event_ms": over_runs(heard),
        "machine": machine(),
    }


def _guarded(number: int) -> SessionConfig:
    stop = Level(value=FIRST + STEP * (number % GROUPS), unit=LevelUnit.POINTS)
    return session(number, Protection(square_off=None, stop=stop))
