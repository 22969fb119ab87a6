"""Processes around a benchmark's hosts: `python -m tests.benchmarks.control_plane STATE DATABASE NAME`.

NAME is `supervisor`; or `flood`, which publishes one user's commands without end; or a host, whose desks note every order in a
ledger, and whose live broker does not answer, or refuses the key.
"""

from __future__ import annotations

import asyncio
import json
import os
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
from runtime.errors import InternalError
from runtime.events import EngineInput, SuspendSession
from runtime.orders import Order, OrderRejected, OrderUnknown

MODULE = "tests.benchmarks.control_plane"
SUPERVISOR, FLOOD = "supervisor", "flood"
PACKED_HOSTS = 2
FLOODED = "user-000000"
FLOOD_PER_SECOND, FLOOD_BATCH = 10_000, 200
FLOOD_NICENESS = 19
"""The flooder is a program of somebody else, on another machine: here it has what processor time the runtime leaves."""
HANGS_SECONDS = 30.0
REVOKED = "revoked"
"""Credentials of a user whose key the broker refuses."""


class Nowhere:
    """The hosts run already."""

    async def ensure(self, placement: Placement) -> None: ...

    async def remove(self, host_id: str) -> None: ...


class BadBroker:
    """A live desk whose broker refuses whoever's key is revoked, and takes every request of the others and does not answer for
    30 seconds, as many of them as there are.
    """

    def __init__(self) -> None:
        self._deliver: Callable[[str, EngineInput], None] = _nowhere
        self._revoked: set[str] = set()
        self._requests: set[asyncio.Task[None]] = set()

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None:
        del now
        self._deliver = deliver

    def follow(self, trader: UserTrader) -> None:
        if trader.state.config.credentials == REVOKED:
            self._revoked.add(trader.user_id)

    def submit(self, order: Order, ts: datetime) -> None:
        if order.user_id in self._revoked:
            self._deliver(order.user_id, OrderRejected(ts=ts, order_id=order.order_id, reason="session_expired: log in again"))
            self._deliver(order.user_id, SuspendSession(ts=ts, reason="the broker refuses the key"))
            return
        request = asyncio.create_task(self._unanswered(order, ts))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    def cancel(self, order: Order, ts: datetime) -> None:
        """Nothing of his was ever accepted."""

    async def _unanswered(self, order: Order, ts: datetime) -> None:
        await asyncio.sleep(HANGS_SECONDS)
        self._deliver(order.user_id, OrderUnknown(ts=ts, order_id=order.order_id, reason=f"no answer in {HANGS_SECONDS:g} s"))

    def call_off(self, forbids: Callable[[str, str], bool]) -> None: ...

    def dismiss(self, user_id: str) -> None: ...

    async def close(self) -> None: ...


def _nowhere(user_id: str, event: EngineInput) -> None:
    raise InternalError(f"{type(event).__name__} of {user_id} before the desk was attached")


def ledger(state: Path) -> Path:
    return state / "ledger"


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def flood(redis_url: str) -> None:
    os.nice(FLOOD_NICENESS)
    redis = Redis.from_url(redis_url)
    ready()
    begun, sent = time.monotonic(), 0
    while True:
        batch = redis.pipeline(transaction=False)
        for _ in range(FLOOD_BATCH):
            action = ("PAUSE_TRADING", "RESUME_TRADING")[sent % 2]
            batch.publish(channels.COMMANDS, json.dumps({"action": action, "user_id": FLOODED, "command_id": f"flood-{sent}"}))
            sent += 1
        batch.execute()
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
        live=BadBroker(),
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
