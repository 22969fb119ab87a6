"""One signal to every user: when each one's order was out, when its fill was on Redis, and whether anybody was left out or favoured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from actors.bench.baseline import one_after_another
from actors.bench.fairness import host_gap_ms, rank_uniformity_p
from actors.bench.market import Market, session
from actors.bench.processes import machine
from actors.bench.stage import Stage
from runtime.events import EventType

SIGNALS = 22
WARM_UP = 2
EVENTS_PER_USER = 5
"""SIGNAL, ORDER_SUBMITTED, ORDER_ACCEPTED, ORDER_FILLED, and POSITION_OPENED or POSITION_CLOSED."""

Progress = Callable[[str, int, int], None]
"""(what, done, of how many)."""


class _Data(msgspec.Struct):
    order_id: str = ""


class _Event(msgspec.Struct):
    """What is read of an event."""

    user_id: str
    type: EventType
    data: _Data


_decode_event = msgspec.json.Decoder(_Event).decode


class Heard(msgspec.Struct):
    """What the events of one signal say. `order` holds the users as their orders were submitted, `filled_ms` since the candle's close."""

    order: list[str]
    duplicates: int
    filled_ms: dict[str, float]


async def fan_out(users: int, *, signals: int = SIGNALS, profiled: bool = False, on_progress: Progress) -> dict[str, Any]:
    """Milliseconds are medians over the signals of each signal's own p50, p99 and last.

    `profiled` adds where the hosts' time goes; it makes everything slower.
    """
    decided, heard, cpu = list[list[float]](), list[Heard](), list[dict[str, float]]()
    async with Stage(users, session) as stage:
        market = Market(stage)
        for number in range(users):
            market.want(session(number))
        await stage.start_hosts(profiled=profiled)
        await stage.quiet()
        await market.quote(100.0)
        for number in range(WARM_UP + signals):
            on_progress("signals", number, WARM_UP + signals)
            stage.take_events()
            before = stage.cpu_seconds()
            closed_at_ns = await market.candle()
            await stage.published(EVENTS_PER_USER * users)
            await stage.quiet()
            if number >= WARM_UP:
                after = stage.cpu_seconds()
                cpu.append({name: after[name] - before[name] for name in after})
                decided.append(await stage.samples("signal_to_order", users))
                heard.append(_listen(stage.take_events(), closed_at_ns))
            await _close_positions(stage, market, users)
        evaluations = market.evaluations / (2 * (WARM_UP + signals))
        rss_mb = stage.rss_kb() / 1024
        hosts, host_of = stage.host_ids, stage.host_of
        profile = {"profile": stage.profile()} if profiled else {}
    on_progress("signals", WARM_UP + signals, WARM_UP + signals)
    ms_per_user = await one_after_another(users, on_progress)
    fills = over_runs([list(each.filled_ms.values()) for each in heard])
    return {
        "users": users,
        "hosts": len(hosts),
        "signals": signals,
        "strategy_evaluations": evaluations,
        "orders": sum(len(each.order) for each in heard),
        "duplicates": sum(each.duplicates for each in heard),
        "missing": sum(users - len(set(each.order)) for each in heard),
        "decision_ms": over_runs(decided),
        "fill_ms": fills,
        "rank_uniformity_p": rank_uniformity_p([each.order for each in heard], host_of),
        "host_gap_ms": round(host_gap_ms([each.filled_ms for each in heard], host_of), 1),
        "baseline_ratio": round(ms_per_user * users / fills["last"], 2),
        "baseline_ms_per_user": round(ms_per_user, 3),
        "rss_mb": round(rss_mb, 1),
        "cpu_s": round(median(sum(each.values()) for each in cpu), 3),
        "cpu_s_by_process": {name: round(median(each[name] for each in cpu), 3) for name in cpu[0]},
        **profile,
        "machine": machine(),
    }


async def _close_positions(stage: Stage, market: Market, users: int) -> None:
    """The next candle's signal is FLAT: everybody is out again before the next entry."""
    stage.take_events()
    await market.candle()
    await stage.published(EVENTS_PER_USER * users)
    await stage.quiet()
    stage.drop_samples()


def _listen(events: Sequence[tuple[float, bytes]], closed_at_ns: int) -> Heard:
    order, opened = list[str](), dict[str, float]()
    submitted: Counter[str] = Counter()
    for ms, payload in events:
        event = _decode_event(payload)
        if event.type is EventType.ORDER_SUBMITTED:
            order.append(event.user_id)
            submitted[event.user_id] += 1
        elif event.type is EventType.POSITION_OPENED:
            opened[event.user_id] = ms - closed_at_ns / 1e6
    return Heard(order=order, duplicates=sum(count - 1 for count in submitted.values()), filled_ms=opened)


def over_runs(runs: Sequence[Sequence[float]]) -> dict[str, float]:
    import numpy as np

    statistics = {"p50": 50, "p99": 99, "last": 100}
    return {name: round(median(float(np.percentile(each, percent)) for each in runs), 1) for name, percent in statistics.items()}
