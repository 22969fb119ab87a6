"""One session of the whole system, driven through Redis as an outside program would drive it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import redis

from actors.day import Day
from actors.market_progress import MARKET_STATISTICS, MarketStatistics
from actors.system import System
from actors.wire import BeginSession, LatencySamples, decode_latency, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import PublicEvent

START_TIMEOUT_SECONDS = 120.0
DRAIN_TIMEOUT_SECONDS = 30.0
READ_BLOCK_MS = 200

_decode_event = msgspec.json.Decoder(PublicEvent).decode
_decode_statistics = msgspec.json.Decoder(MarketStatistics).decode

OnProgress = Callable[[Day, MarketStatistics], None]


class DemoSession:
    """An outside program: it knows the Redis contract and nothing else of the runtime (but for the market's start button)."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=False)
        self._cursor = "0"
        self.day = Day()

    def start_users(self, count: int) -> None:
        """Publish START for each user; accounts differ, so that sizes and limits do. Raises `ServerUnavailable` on a time-out."""
        for number in range(1, count + 1):
            message = {"action": "START_TRADING", "user_id": f"user-{number:03d}", "data": account(number)}
            self._redis.publish(channels.COMMANDS, json.dumps(message))
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while sum(user.status == "RUNNING" for user in self.day.users.values()) < count:
            if time.monotonic() > deadline:
                started = sum(user.status == "RUNNING" for user in self.day.users.values())
                raise ServerUnavailable(f"only {started} of {count} sessions started within {START_TIMEOUT_SECONDS:.0f} s")
            self.read_events()

    def play(self, on_progress: OnProgress) -> None:
        """Let the market move and follow it to its end."""
        self._redis.xadd(channels.MARKET_CONTROL, {"m": encode(BeginSession())})
        while not (statistics := self.statistics()).finished:
            self.read_events()
            on_progress(self.day, statistics)
        self._drain()
        on_progress(self.day, statistics)

    def read_events(self) -> int:
        """Take in what is new on the events stream, waiting shortly if nothing is."""
        answer = cast("Any", self._redis.xread({channels.EVENTS_STREAM: self._cursor}, count=5_000, block=READ_BLOCK_MS))
        entries: list[tuple[bytes, dict[bytes, bytes]]] = [entry for _, stream in _streams(answer) for entry in stream]
        if entries:
            self._cursor = entries[-1][0].decode()
            self.day.take(_decode_event(fields[b"event"]) for _, fields in entries)
        return len(entries)

    def statistics(self) -> MarketStatistics:
        payload = cast("bytes | None", self._redis.get(MARKET_STATISTICS))
        return MarketStatistics() if payload is None else _decode_statistics(payload)

    def latencies(self) -> list[LatencySamples]:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self._redis.xrange(channels.LATENCY))
        return [decode_latency(fields[b"m"]) for _, fields in entries]

    def close(self) -> None:
        self._redis.close()

    def _drain(self) -> None:
        """The last fills are on their way out: read until a GET_STATUS of every user, sent now, has been answered."""
        waiting = {f"demo-end-{user_id}" for user_id in self.day.users}
        answered = self.day.answers
        for user_id in self.day.users:
            message = {"action": "GET_STATUS", "user_id": user_id, "command_id": f"demo-end-{user_id}"}
            self._redis.publish(channels.COMMANDS, json.dumps(message))
        deadline = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        while not waiting <= answered:
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"{len(waiting - answered)} users did not answer GET_STATUS within {DRAIN_TIMEOUT_SECONDS:.0f} s")
            self.read_events()


def _streams(answer: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """redis-py answers XREAD with a list or, on RESP3, with a mapping."""
    return list(cast("dict[Any, Any]", answer).items()) if isinstance(answer, dict) else list(answer or [])


def account(number: int) -> dict[str, object]:
    """Capital from 300,000 up in steps, risk 0.5 % to 2 % a trade."""
    return {
        "capital": 300_000 + 100_000 * (number % 8),
        "sizing": {"method": "fixed_risk", "risk_per_trade": round(0.005 * (1 + number % 4), 3), "leverage": 1},
    }


@contextmanager
def stopwatch(seconds: dict[str, float], name: str) -> Generator[None]:
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 2)


def run_demo(system: System, users: int, *, on_stage: Callable[[str], None], on_progress: OnProgress) -> dict[str, object]:
    """Boot, play one session, shut down; returns the demo's JSON."""
    seconds: dict[str, float] = {}
    on_stage("starting Valkey, MongoDB and Ray")
    with stopwatch(seconds, "boot"):
        system.__enter__()
    try:
        session = DemoSession(system.running.redis_url)
        with stopwatch(seconds, "session"):
            on_stage(f"starting {users} users by publishing on Redis")
            session.start_users(users)
            on_stage("the market is open")
            session.play(on_progress)
        summary = session.day.summary(session.statistics(), session.latencies())
        session.close()
    finally:
        on_stage("shutting down")
        with stopwatch(seconds, "shutdown"):
            system.__exit__()
    return {"session_date": system.spec.sessions[0].isoformat(), **summary, "seconds": seconds}
