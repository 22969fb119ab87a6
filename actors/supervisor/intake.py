"""Both doors of the command contract, and whose turn it is: each user in turn, the operator's kill switch before everybody."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from datetime import UTC, datetime
from typing import Any

import msgspec
from loguru import logger

from runtime import channels
from runtime.commands import MAX_BYTES, URGENT
from runtime.errors import ServerUnavailable
from runtime.ports import Bus, Clock, Subscription

WAITING_MAX = 1_000
"""Commands of one user that may wait; what comes on top is answered `overloaded`."""
BURST, PER_SECOND, PLATFORM_PER_SECOND = 200, 20.0, 50.0
"""A user's commands are taken at this rate after this burst, those that name no user (signals of other programs) at the platform's: a
flood costs the others one command of it in every round, and what the hosts and servers do for each.
"""
LANES_KEPT = 20_000
_WAIT_SECONDS_MIN = 0.001
_LONGEST_USER_ID = 64


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `entry_id` is its place on the stream, None for the channel; `refused` counts those it stands for, see `Intake`."""

    payload: bytes
    arrived_at: datetime
    entry_id: str | None
    refused: int = 0

    @property
    def fallback_id(self) -> str:
        """Names a message whose own command id cannot be read."""
        return f"message-{self.entry_id or secrets.token_hex(8)}"


class _Envelope(msgspec.Struct):
    action: Any = None
    user_id: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class _Lane:
    __slots__ = ("allowance", "first_refused", "per_second", "refused", "seen_at", "waiting")

    def __init__(self, now: float, per_second: float) -> None:
        self.per_second = per_second
        self.waiting: deque[Arrival] = deque()
        self.allowance, self.seen_at = float(BURST), now
        self.refused = 0
        self.first_refused: Arrival | None = None

    def ready_in(self, now: float) -> float:
        """Seconds until its next command may be taken."""
        self.allowance = min(BURST, self.allowance + (now - self.seen_at) * self.per_second)
        self.seen_at = now
        return 0.0 if self.allowance >= 1.0 else max((1.0 - self.allowance) / self.per_second, _WAIT_SECONDS_MIN)

    def take(self) -> Arrival:
        self.allowance -= 1.0
        if self.first_refused is not None and len(self.waiting) <= WAITING_MAX // 2:
            first, refused = self.first_refused, self.refused
            self.first_refused, self.refused = None, 0
            return msgspec.structs.replace(first, refused=refused)
        return self.waiting.popleft()


class Intake:
    """Messages in, one lane for each user; `take` goes round the lanes, `take_urgent` has the kill switch to itself.

    Bounds: a command waits behind at most one command of every other user. A user has at most `WAITING_MAX` commands
    waiting; those beyond are refused, and one answer stands for all of them until half of his lane is worked off.
    """

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self._lanes: dict[str, _Lane] = {}
        self._round: deque[str] = deque()
        """Users with something to take, whose turn it is first."""
        self._urgent: deque[Arrival] = deque()
        self._news, self._urgent_news = asyncio.Event(), asyncio.Event()

    # --- the two doors ---

    async def read_channel(self, subscription: Subscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    await self.offer(Arrival(payload=payload, arrived_at=self._clock.now(), entry_id=None))
            except ServerUnavailable as error:
                logger.warning("the command channel waits for Redis: {}", error)

    async def read_stream(self) -> None:
        stream, group = channels.COMMANDS_STREAM, channels.COMMANDS_GROUP
        while True:
            try:
                entries = await self._bus.read_group(stream, group, "supervisor", block_seconds=5.0)
                for entry_id, payload in entries:
                    at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
                    await self.offer(Arrival(payload=payload, arrived_at=at, entry_id=entry_id))
            except ServerUnavailable as error:
                logger.warning("the command stream waits for Redis: {}", error)

    async def offer(self, arrival: Arrival) -> None:
        action, user_id = _envelope(arrival.payload)
        if action in URGENT:
            self._urgent.append(arrival)
            self._urgent_news.set()
            return
        lane = self._lanes.get(user_id)
        if lane is None:
            self._forget_idle_lanes()
            lane = self._lanes[user_id] = _Lane(self._now(), PER_SECOND if user_id else PLATFORM_PER_SECOND)
        if len(lane.waiting) >= WAITING_MAX:
            await self._refuse(lane, arrival)
            return
        if not lane.waiting and lane.first_refused is None:
            self._round.append(user_id)
        lane.waiting.append(arrival)
        self._news.set()

    # --- whose turn it is ---

    async def take(self) -> Arrival:
        """The next command, as soon as there is one that may be taken."""
        while True:
            wait: float | None = None
            now = self._now()
            for _ in range(len(self._round)):
                user_id = self._round.popleft()
                lane = self._lanes[user_id]
                ready_in = lane.ready_in(now)
                if ready_in > 0:
                    self._round.append(user_id)
                    wait = ready_in if wait is None else min(wait, ready_in)
                    continue
                arrival = lane.take()
                if lane.waiting or lane.first_refused is not None:
                    self._round.append(user_id)
                return arrival
            self._news.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def take_urgent(self) -> Arrival:
        while not self._urgent:
            self._urgent_news.clear()
            await self._urgent_news.wait()
        return self._urgent.popleft()

    async def _refuse(self, lane: _Lane, arrival: Arrival) -> None:
        lane.refused += 1
        if lane.first_refused is None:
            lane.first_refused = arrival  # it stays on the stream until the answer is durable
        elif arrival.entry_id is not None:
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, arrival.entry_id)

    def _forget_idle_lanes(self) -> None:
        if len(self._lanes) < LANES_KEPT:
            return
        now = self._now()
        idle = [name for name, lane in self._lanes.items() if not lane.waiting and lane.first_refused is None]
        for name in idle:
            lane = self._lanes[name]
            lane.ready_in(now)
            if lane.allowance >= BURST:
                del self._lanes[name]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _envelope(payload: bytes) -> tuple[str, str]:
    """Action and user of a message, "" where they cannot be read; what else is wrong with it is found out on its turn."""
    if len(payload) > MAX_BYTES:
        return "", ""
    try:
        envelope = _decode_envelope(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "", ""
    action, user_id = envelope.action, envelope.user_id
    readable = isinstance(user_id, str | int) and not isinstance(user_id, bool)
    user = str(user_id) if readable and (isinstance(user_id, str) or abs(user_id) < 10**_LONGEST_USER_ID) else ""
    return action if isinstance(action, str) else "", user if len(user) <= _LONGEST_USER_ID else ""
