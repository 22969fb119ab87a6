"""What one poisoned user costs the other forty-nine of his host. Run: `python -m tests.benchmarks.poisoned [BLOCKS]`.

The same signals to the same fifty users, over a real Valkey and a real mongod, a host and a supervisor in processes of their own,
one such system for each kind of poison: one who floods the platform with commands, one whose broker does not answer, one whose
configuration raises on each fill, one whose key is revoked; and two with everybody healthy. All of them stand side by side and
have their turns in short blocks, so that whatever else the machine does falls on all alike. Milliseconds are from a candle's
close to POSITION_OPENED on Redis.

Each block gives a p99 of the forty-nine over that of the healthy system's block of the same round. Stated is the median of these
changes, with the 95 % interval of a bootstrap over the rounds (percentiles of 2,000 resamples: B. Efron, R. Tibshirani, An
Introduction to the Bootstrap, 1993, 13.3). The second healthy system shows what is noise.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from actors.bench.market import Market, session
from actors.bench.processes import HostProcess
from actors.bench.stage import DATABASE, OPEN, Stage
from actors.placement import PlacementKind
from actors.wire import ForUser, encode
from runtime import channels
from runtime.events import EventType, PublicEvent, ResumeSession
from runtime.session import Mode, SessionConfig
from tests.benchmarks.control_plane import FLOOD, FLOOD_PER_SECOND, FLOODED, MODULE, REVOKED, SUPERVISOR
from tests.benchmarks.report import Figure, figure, publish

USERS, WARM_UP = 50, 10
BLOCKS, SIGNALS = 24, 20
"""Rounds, and signals of each system in a round: its p99 is over 980 fills."""
HEALTHY, AGAIN = "all healthy", "all healthy again"
FLOODS, HANGS, RAISES, REVOKED_KEY = "one floods", "one's broker hangs", "one's configuration raises", "one's key is revoked"
KINDS = (HEALTHY, AGAIN, FLOODS, HANGS, RAISES, REVOKED_KEY)
CHANGE_MAX_PERCENT = 20.0
RESAMPLES, CONFIDENCE_PERCENT, SEED = 2_000, 95.0, 7
LOOK_SECONDS, ANSWER_SECONDS_MAX = 0.005, 60.0

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Heard(msgspec.Struct):
    """Of the forty-nine: milliseconds of their fills, and each user's orders in his own order."""

    milliseconds: list[float] = []
    orders: dict[str, list[dict[str, object]]] = {}

    def listen(self, events: Sequence[tuple[float, PublicEvent]], closed_at_ns: int | None) -> None:
        for ms, event in events:
            if event.user_id == FLOODED:
                continue
            if event.type is EventType.ORDER_SUBMITTED:
                self.orders.setdefault(event.user_id, []).append(event.data)
            elif event.type is EventType.POSITION_OPENED and closed_at_ns is not None:
                self.milliseconds.append(ms - closed_at_ns / 1e6)


def settings(kind: str, number: int) -> SessionConfig:
    healthy = session(number)
    if number > 0:
        return healthy
    if kind in (HANGS, REVOKED_KEY):
        key = REVOKED if kind == REVOKED_KEY else None
        return msgspec.structs.replace(healthy, mode=Mode.LIVE, broker="upstox", credentials=key)
    return msgspec.structs.replace(healthy, fees="no such scale") if kind == RAISES else healthy


class Arena:
    """`async with Arena(kind) as arena`: one system, its first user poisoned; it does nothing until `block`."""

    def __init__(self, kind: str) -> None:
        self.kind, self.heard = kind, Heard()
        self._stage = Stage(USERS, lambda number: settings(kind, number), hosts=1, module=MODULE)
        self._market = Market(self._stage)
        self._others: dict[str, HostProcess] = {}
        self._resumed = 0

    async def __aenter__(self) -> Self:
        stage = await self._stage.__aenter__()
        try:
            document = {"config": encode(settings(self.kind, 0)).decode(), "placement": PlacementKind.PACKED}
            await stage.store.upsert("sessions", {FLOODED: document})  # so that the supervisor knows where his commands go
            await stage.start_hosts()
            names = (SUPERVISOR, FLOOD) if self.kind == FLOODS else (SUPERVISOR,)
            self._others = {name: HostProcess(stage.state, DATABASE, name, module=MODULE) for name in names}
            await asyncio.gather(*(asyncio.to_thread(other.wait) for other in self._others.values()))
            self._flood(signal.SIGSTOP)
            self._market.want(session(0))
            await self._market.quote(100.0)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for other in self._others.values():
            other.kill()
        await self._stage.__aexit__(kind, error, trace)

    async def block(self, signals: int) -> float:
        """The p99 of the forty-nine over this many signals, in milliseconds."""
        self.heard.milliseconds.clear()
        self._flood(signal.SIGCONT)
        for _ in range(signals):
            if self.kind in (RAISES, REVOKED_KEY):  # he was suspended by the signal before
                await self._resume()
            await self._answered(await self._market.candle())
            await self._market.candle()
            await self._answered(None)
        self._flood(signal.SIGSTOP)
        return float(np.percentile(self.heard.milliseconds, 99))

    def _flood(self, what: signal.Signals) -> None:
        if FLOOD in self._others:
            os.kill(self._others[FLOOD].pid, what)

    async def _resume(self) -> None:
        self._resumed += 1
        resume = ResumeSession(ts=OPEN, command_id=f"resume-{self._resumed}")
        inbox = channels.host_inbox(self._stage.host_of[FLOODED])
        await self._stage.bus.append(inbox, encode(ForUser(user_id=FLOODED, input=resume)), max_length=100_000)

    async def _answered(self, closed_at_ns: int | None) -> None:
        """Back when each of the forty-nine is in, or out, again."""
        awaited = EventType.POSITION_CLOSED if closed_at_ns is None else EventType.POSITION_OPENED
        waiting = set(self._stage.users) - {FLOODED}
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while waiting:
                events = [(ms, _decode_event(payload)) for ms, payload in self._stage.take_events()]
                self.heard.listen(events, closed_at_ns)
                waiting -= {event.user_id for _, event in events if event.type is awaited}
                await asyncio.sleep(LOOK_SECONDS)


def interval(changes: Sequence[float]) -> tuple[float, float]:
    """Of the median of these, by a bootstrap."""
    rng = np.random.default_rng(SEED)
    medians = np.median(rng.choice(np.asarray(changes), size=(RESAMPLES, len(changes))), axis=1)
    outside = (100 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(medians, [outside, 100 - outside])
    return round(float(low), 1), round(float(high), 1)


async def measure(blocks: int) -> tuple[list[Figure], dict[str, Any]]:
    p99s: dict[str, list[float]] = {kind: [] for kind in KINDS}
    async with AsyncExitStack() as stack:
        arenas = [await stack.enter_async_context(Arena(kind)) for kind in KINDS]
        for arena in arenas:
            await arena.block(WARM_UP)
        for number in range(blocks):
            first = number % len(arenas)
            for arena in [*arenas[first:], *arenas[:first]]:  # everybody goes first as often
                p99s[arena.kind].append(await arena.block(SIGNALS))
        wanted = arenas[0].heard.orders
        identical = {arena.kind: arena.heard.orders == wanted for arena in arenas[1:]}
    figures = [figure(f"p99 from signal to fill of the other 49, {HEALTHY}", "ms", p99s[HEALTHY])]
    intervals: dict[str, tuple[float, float]] = {}
    for kind in KINDS[1:]:
        changes = [100 * (bad / good - 1) for bad, good in zip(p99s[kind], p99s[HEALTHY], strict=True)]
        intervals[kind] = interval(changes)
        figures.append(figure(f"p99 from signal to fill of the other 49, {kind}", "ms", p99s[kind], baseline=(HEALTHY, p99s[HEALTHY])))
        figures.append(figure(f"change of their p99, {kind}", "%", changes, goal={"p50": CHANGE_MAX_PERCENT}))
    return figures, {
        "users": USERS,
        "blocks": blocks,
        "signals": SIGNALS,
        "flood_per_second": FLOOD_PER_SECOND,
        "change_percent_95": intervals,
        "orders_identical": identical,
    }


def main() -> None:
    figures, sizes = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else BLOCKS))
    publish("poisoned", sizes, figures)


if __name__ == "__main__":
    main()
