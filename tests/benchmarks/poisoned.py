"""What one poisoned user costs the other forty-nine of his host. Run: `python -m tests.benchmarks.poisoned`.

The same signals to the same fifty users, over a real Valkey and a real mongod, a host and a supervisor in processes of their own:
with everybody healthy, with one who floods the platform with commands, one whose broker hangs, one whose configuration raises
on each fill. Milliseconds are from a candle's close to POSITION_OPENED on Redis.
"""

from __future__ import annotations

import asyncio
from typing import Any

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
from tests.benchmarks.control_plane import FLOOD, FLOOD_PER_SECOND, FLOODED, MODULE, SUPERVISOR
from tests.benchmarks.report import Figure, figure, publish

USERS, WARM_UP, ROUNDS = 50, 5, 2
SIGNALS = 150
"""Of each run: the fills of one signal come together, so that a p99 over few signals is the worst of them."""
HEALTHY, FLOODS, HANGS, RAISES = "all healthy", "one floods", "one's broker hangs", "one's configuration raises"
CHANGE_MAX_PERCENT = 20.0
EVENTS_PER_USER = 5
"""SIGNAL, ORDER_SUBMITTED, ORDER_ACCEPTED, ORDER_FILLED, and POSITION_OPENED or POSITION_CLOSED."""

_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Heard(msgspec.Struct):
    """Of the forty-nine: milliseconds of their fills, and (user, data) of their orders."""

    milliseconds: list[float] = []
    orders: list[tuple[str, dict[str, object]]] = []

    def listen(self, events: list[tuple[float, bytes]], closed_at_ns: int | None) -> None:
        for ms, payload in events:
            event = _decode_event(payload)
            if event.user_id == FLOODED:
                continue
            if event.type is EventType.ORDER_SUBMITTED:
                self.orders.append((event.user_id, event.data))
            elif event.type is EventType.POSITION_OPENED and closed_at_ns is not None:
                self.milliseconds.append(ms - closed_at_ns / 1e6)


def settings(poison: str, number: int) -> SessionConfig:
    healthy = session(number)
    if number > 0:
        return healthy
    if poison == HANGS:
        return msgspec.structs.replace(healthy, mode=Mode.LIVE, broker="upstox")
    return msgspec.structs.replace(healthy, fees="no such scale") if poison == RAISES else healthy


async def answered(stage: Stage, heard: Heard, closed_at_ns: int | None) -> None:
    """Back when each of the forty-nine is in, or out, again."""
    closed = EventType.POSITION_CLOSED if closed_at_ns is None else EventType.POSITION_OPENED
    waiting = set(stage.users) - {FLOODED}
    async with asyncio.timeout(60.0):
        while waiting:
            events = stage.take_events()
            heard.listen(events, closed_at_ns)
            waiting -= {event.user_id for event in (_decode_event(payload) for _, payload in events) if event.type is closed}
            await asyncio.sleep(0.02)


async def signals(stage: Stage, poison: str) -> Heard:
    market, heard = Market(stage), Heard()
    market.want(session(0))
    await market.quote(100.0)
    for number in range(WARM_UP + SIGNALS):
        if poison == RAISES:  # he was suspended at the last fill
            resume = ResumeSession(ts=OPEN, command_id=f"resume-{number}")
            await stage.bus.append(
                channels.host_inbox(stage.host_of[FLOODED]), encode(ForUser(user_id=FLOODED, input=resume)), max_length=100_000
            )
        await answered(stage, heard, await market.candle())
        if number < WARM_UP:
            heard.milliseconds.clear()
        await market.candle()
        await answered(stage, heard, None)
    return heard


async def run(poison: str) -> Heard:
    async with Stage(USERS, lambda number: settings(poison, number), hosts=1, module=MODULE) as stage:
        session_document = {"config": encode(settings(poison, 0)).decode(), "placement": PlacementKind.PACKED}
        await stage.store.upsert("sessions", {FLOODED: session_document})  # so that the supervisor knows where his commands go
        await stage.start_hosts()
        names = (SUPERVISOR, FLOOD) if poison == FLOODS else (SUPERVISOR,)
        others = [HostProcess(stage.state, DATABASE, name, module=MODULE) for name in names]
        try:
            await asyncio.gather(*(asyncio.to_thread(other.wait) for other in others))
            return await signals(stage, poison)
        finally:
            for other in others:
                other.kill()


async def measure() -> tuple[list[Figure], dict[str, Any]]:
    poisons = (FLOODS, HANGS, RAISES)
    runs: dict[str, list[Heard]] = {poison: [] for poison in (HEALTHY, *poisons)}
    for _ in range(ROUNDS):  # by turns, so that what else the machine does falls on all of them
        for poison, heard in runs.items():
            heard.append(await run(poison))
    fills = {poison: [each for one in heard for each in one.milliseconds] for poison, heard in runs.items()}
    control = float(np.percentile(fills[HEALTHY], 99))
    figures = [figure(f"signal to fill of the other 49, {HEALTHY}", "ms", fills[HEALTHY])]
    for poison in poisons:
        change = 100 * (float(np.percentile(fills[poison], 99)) / control - 1)
        figures.append(figure(f"signal to fill of the other 49, {poison}", "ms", fills[poison], baseline=(HEALTHY, fills[HEALTHY])))
        figures.append(figure(f"change of their p99, {poison}", "%", [change], goal={"p99": CHANGE_MAX_PERCENT}))
    wanted = by_user(runs[HEALTHY][0])
    identical = {poison: all(by_user(one) == wanted for one in heard) for poison, heard in runs.items()}
    return figures, {
        "users": USERS,
        "signals": SIGNALS,
        "rounds": ROUNDS,
        "flood_per_second": FLOOD_PER_SECOND,
        "orders_identical": identical,
    }


def by_user(heard: Heard) -> dict[str, list[dict[str, object]]]:
    """Each user's orders in his own order: whose turn comes first differs from signal to signal."""
    found: dict[str, list[dict[str, object]]] = {}
    for user, data in heard.orders:
        found.setdefault(user, []).append(data)
    return found


def main() -> None:
    figures, sizes = asyncio.run(measure())
    publish("poisoned", sizes, figures)


if __name__ == "__main__":
    main()
