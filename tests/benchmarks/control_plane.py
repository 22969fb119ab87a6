"""Processes around a benchmark's hosts: `python -m tests.benchmarks.control_plane STATE DATABASE NAME`.

NAME is `supervisor`; or `flood`, which publishes one user's commands without end; or a host, whose desks note every order in a
ledger, and whose live broker never answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from redis import Redis

from actors.order_ledger import OrderLedger
from actors.placement import Placement
from actors.process import prepare_for_many
from actors.services import RunSpec, Servers, serve_supervisor
from actors.trader_host import TraderHost
from actors.user_trader import UserTrader
from adapters.clock import WallClock
from configs.logging import configure_logging
from configs.running import read_running
from runtime import channels
from runtime.events import EngineInput
from runtime.orders import Order

MODULE = "tests.benchmarks.control_plane"
SUPERVISOR, FLOOD = "supervisor", "flood"
PACKED_HOSTS = 2
FLOODED = "user-000000"
FLOOD_PER_SECOND, FLOOD_BATCH = 1_000, 20


class Nowhere:
    """The hosts run already."""

    async def ensure(self, placement: Placement) -> None: ...

    async def remove(self, host_id: str) -> None: ...


class Hung:
    """A live desk whose broker takes every request and never answers: the request's task waits for ever."""

    def __init__(self) -> None:
        self._requests: list[asyncio.Task[bool]] = []

    def submit(self, order: Order, ts: datetime) -> None:
        del order, ts
        self._requests.append(asyncio.create_task(asyncio.Event().wait()))

    def cancel(self, order: Order, ts: datetime) -> None:
        self.submit(order, ts)

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None: ...

    def follow(self, trader: UserTrader) -> None: ...

    def call_off(self, forbids: Callable[[str, str], bool]) -> None: ...

    def dismiss(self, user_id: str) -> None: ...

    async def close(self) -> None: ...


def ledger(state: Path) -> Path:
    return state / "ledger"


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def flood(redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    ready()
    begun, sent = time.monotonic(), 0
    while True:
        for _ in range(FLOOD_BATCH):
            action = ("PAUSE_TRADING", "RESUME_TRADING")[sent % 2]
            redis.publish(channels.COMMANDS, json.dumps({"action": action, "user_id": FLOODED, "command_id": f"flood-{sent}"}))
            sent += 1
        time.sleep(max(0.0, begun + sent / FLOOD_PER_SECOND - time.monotonic()))


async def host(spec: RunSpec, host_id: str) -> None:
    servers = Servers(spec)
    serving = TraderHost(
        host_id,
        bus=servers.bus,
        journal=servers.journal,
        store=servers.store,
        clock=WallClock(),
        heartbeat=spec.heartbeat,
        live=Hung(),
        ledger=OrderLedger(ledger(Path(spec.state)) / f"{host_id}.jsonl"),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serving.run())
        await serving.ready.wait()
        prepare_for_many()
        ready()


def main() -> None:
    state, database, name = sys.argv[1:]
    configure_logging(Path(state) / "logs" / f"{name}.jsonl")
    spec = RunSpec(
        state=state,
        database=database,
        speed=None,
        heartbeat=timedelta(days=1),
        packed_hosts=PACKED_HOSTS,
    )
    if name == FLOOD:
        flood(read_running(Path(state)).redis_url)
    elif name == SUPERVISOR:
        asyncio.run(serve_supervisor(spec, Nowhere(), ready))
    else:
        asyncio.run(host(spec, name))


if __name__ == "__main__":
    main()
