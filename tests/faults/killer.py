"""Ends processes of a running system with SIGKILL and sees each of them back at work."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pymongo import MongoClient

from actors.cluster import MARKET_DATA, OPTION_CHAIN, SUPERVISOR
from actors.system import System
from runtime.events import EventType
from tests.faults.outside import Outside

VALKEY, MONGOD = "valkey-server", "mongod"
SHARED = (MARKET_DATA, OPTION_CHAIN, SUPERVISOR, VALKEY, MONGOD)
BACK_SECONDS_MAX = 60.0
MINUTES_ON = 2
"""Candles after which a market that stood still counts as moving again."""


class Kill(NamedTuple):
    """`minute` counts the candles of the run so far; `seconds` is the time from the kill to the first sign of work."""

    target: str
    minute: int
    seconds: float
    recovered: Sequence[str]


class Killer:
    def __init__(self, system: System, outside: Outside) -> None:
        self._system = system
        self._outside = outside
        self.kills: list[Kill] = []

    def hosts(self) -> list[str]:
        """Trader hosts that have users, packed and dedicated."""
        return sorted({str(session["host"]) for session in self._sessions()})

    def kill(self, *targets: str) -> list[Kill]:
        """All of them at once; back when the successor of each, a process of its own, has been seen at work.

        One that does not run at the moment (a stopped user's host) is left out.
        """
        sessions = self._sessions()
        recovered = self._recoveries()
        minute = self._outside.market().candles
        pids = {target: pid for target in targets if (pid := self._pid(target)) is not None}
        started = time.monotonic()
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        killed: list[Kill] = []
        for target in pids:
            users = [str(session["_id"]) for session in sessions if session["host"] == target]
            at_work = self._sign_of_work(target, users, recovered, str(sessions[0]["_id"]))
            self._outside.wait(at_work, BACK_SECONDS_MAX, f"{target} at work again")
            killed.append(Kill(target, minute, round(time.monotonic() - started, 2), users))
        for target, pid in pids.items():
            self._outside.wait(lambda t=target, p=pid: self._is_replaced(t, p), BACK_SECONDS_MAX, f"a new process of {target}")
        self.kills += killed
        return killed

    def _sign_of_work(self, target: str, users: Sequence[str], before: Counter[str], somebody: str) -> Callable[[], bool]:
        """What only a successor of `target` can bring about."""
        outside = self._outside
        if target in {MARKET_DATA, OPTION_CHAIN}:
            goal = outside.market().candles + MINUTES_ON
            return lambda: outside.market().candles >= goal or outside.market().finished
        if target in SHARED:  # a command passes through all of them before it is answered
            command_id = outside.send("GET_STATUS", somebody)
            return lambda: command_id in outside.answers
        return lambda: all(self._recoveries()[user] > before[user] or not self._is_wanted(target) for user in users)

    def _is_replaced(self, target: str, pid: int) -> bool:
        return self._pid(target) not in {pid, None} or not self._is_wanted(target)

    def _is_wanted(self, target: str) -> bool:
        """False for the host of a user who was stopped meanwhile."""
        return target in SHARED or target in self.hosts()

    def _recoveries(self) -> Counter[str]:
        return Counter(event.user_id for event in self._outside.events if event.type is EventType.SESSION_RECOVERED)

    def _pid(self, target: str) -> int | None:
        if target in {VALKEY, MONGOD}:
            return self._system.servers.pids[target]
        return self._system.cluster.pids().get(target)

    def _sessions(self) -> list[dict[str, Any]]:
        with MongoClient[dict[str, Any]](self._system.running.mongodb_url) as client:
            return list(client[self._system.spec.database]["sessions"].find({"active": True}).sort("_id", 1))
