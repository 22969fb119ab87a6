"""`runtime.ports.Bus` in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Self

from adapters.memory.streams import Group, Stream, number_of
from runtime import channels
from runtime.errors import LeaseLost

_UNREAD_MAX = 100_000
_EVENTS_KEPT_MAX = 1_000_000


class MemoryServer:
    """What all buses of a process share, and what stays when one of them is closed."""

    def __init__(self) -> None:
        self.subscriptions: defaultdict[str, list[MemorySubscription]] = defaultdict(list)
        self.streams: defaultdict[str, Stream] = defaultdict(Stream)
        self.keys: dict[str, bytes] = {}
        self.hashes: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self.published: dict[str, int] = {}
        self.leases: dict[str, Lease] = {}


class Lease:
    """Who holds it until when, by the event loop's clock, and how often it was given out."""

    def __init__(self) -> None:
        self.holder, self.until, self.token = "", 0.0, 0


class MemorySubscription:
    """Unread messages are kept up to a bound, then the oldest goes: at most once, as with Redis."""

    def __init__(self, server: MemoryServer, names: Sequence[str]) -> None:
        self._server = server
        self._names = names
        self._unread: deque[tuple[str, bytes]] = deque(maxlen=_UNREAD_MAX)
        self._waiter: asyncio.Future[None] | None = None

    def put(self, channel: str, payload: bytes) -> None:
        self._unread.append((channel, payload))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aenter__(self) -> Self:
        for name in self._names:
            self._server.subscriptions[name].append(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in self._names:
            self._server.subscriptions[name].remove(self)

    async def __aiter__(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            while self._unread:
                yield self._unread.popleft()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class MemoryBus:
    """One client of `server`. A second bus on the same server stands for another process, or for this one restarted.

    What another consumer of a group has held unacknowledged for `abandoned_seconds` is taken over.
    """

    def __init__(self, server: MemoryServer | None = None, *, abandoned_seconds: float = 5.0) -> None:
        self.server = server or MemoryServer()
        self._abandoned_seconds = abandoned_seconds
        self._recovered: set[tuple[str, str, str]] = set()

    async def publish(self, channel: str, payload: bytes) -> None:
        for subscription in self.server.subscriptions.get(channel, ()):
            subscription.put(channel, payload)

    def subscribe(self, *channels: str) -> MemorySubscription:
        return MemorySubscription(self.server, channels)

    async def append(self, stream: str, payload: bytes, *, max_length: int) -> str:
        return self.server.streams[stream].append(payload, max_length).id

    async def read(self, stream: str, after: str, *, count: int = 500, block_seconds: float | None = None) -> list[tuple[str, bytes]]:
        log = self.server.streams[stream]
        start = log.last_number if after == "$" else number_of(after)
        return await _first(lambda: [(entry.id, entry.payload) for entry in log.after(start, count)], log, block_seconds or 0)

    async def create_group(self, stream: str, group: str) -> None:
        self.server.streams[stream].groups.setdefault(group, Group())

    async def read_group(
        self, stream: str, group: str, consumer: str, *, count: int = 100, block_seconds: float | None = None
    ) -> list[tuple[str, bytes]]:
        log = self.server.streams[stream]
        members = log.groups.setdefault(group, Group())
        loop = asyncio.get_running_loop()

        def take() -> list[tuple[str, bytes]]:
            now = loop.time()
            numbers = self._redelivered(members, (stream, group, consumer), now)[:count]
            if not numbers:
                numbers = [entry.number for entry in log.after(members.delivered, count)]
                members.delivered = max(numbers, default=members.delivered)
            taken: list[tuple[str, bytes]] = []
            for number in numbers:
                entry = log.get(number)
                if entry is None:
                    members.pending.pop(number, None)
                    continue
                members.pending[number] = (consumer, now)
                taken.append((entry.id, entry.payload))
            return taken

        return await _first(take, log, block_seconds or 0, look_again=self._abandoned_seconds)

    async def acknowledge(self, stream: str, group: str, *entry_ids: str) -> None:
        log = self.server.streams[stream]
        pending = log.groups.setdefault(group, Group()).pending
        for entry_id in entry_ids:
            pending.pop(number_of(entry_id), None)
        log.delete(map(number_of, entry_ids))

    async def last_id(self, stream: str) -> str:
        number = self.server.streams[stream].last_number
        return f"{number}-0" if number else "0"

    async def set_key(self, key: str, value: bytes) -> None:
        self.server.keys[key] = value

    async def get_key(self, key: str) -> bytes | None:
        return self.server.keys.get(key)

    async def set_fields(self, key: str, fields: Mapping[str, bytes]) -> None:
        self.server.hashes[key].update(fields)

    async def get_fields(self, key: str) -> dict[str, bytes]:
        return dict(self.server.hashes.get(key, {}))

    async def delete_field(self, key: str, field: str) -> None:
        self.server.hashes[key].pop(field, None)

    async def delete_key(self, key: str) -> None:
        for kind in (self.server.keys, self.server.hashes, self.server.streams):
            kind.pop(key, None)
        if (lease := self.server.leases.get(key)) is not None:
            lease.until = 0.0

    async def take_lease(self, lease: str, holder: str, seconds: float, *, by_force: bool = False) -> int | None:
        now, held = asyncio.get_running_loop().time(), self.server.leases.setdefault(lease, Lease())
        is_free = held.until <= now
        if held.holder != holder and not (is_free or by_force):
            return None
        if held.holder != holder or is_free:
            held.holder, held.token = holder, held.token + 1
        held.until = now + seconds
        return held.token

    async def release_lease(self, lease: str, holder: str) -> None:
        if (held := self.server.leases.get(lease)) is not None and held.holder == holder:
            held.until = 0.0

    async def append_under(self, lease: str, token: int, stream: str, payload: bytes, *, once: str, max_length: int) -> str:
        if self.server.leases.setdefault(lease, Lease()).token > token:
            raise LeaseLost(lease, token)
        sent = self.server.hashes[f"{stream}:sent"]
        if once not in sent:
            sent[once] = (await self.append(stream, payload, max_length=max_length)).encode()
        return sent[once].decode()

    async def publish_events(self, events: Sequence[tuple[str, int, str]]) -> None:
        published = self.server.published
        for user_id, seq, event in events:
            if seq > published.get(user_id, 0):
                payload = event.encode()
                await self.append(channels.EVENTS_STREAM, payload, max_length=_EVENTS_KEPT_MAX)
                await self.publish(channels.EVENTS, payload)
                await self.publish(channels.user_events(user_id), payload)
                published[user_id] = seq

    async def published_seqs(self, user_ids: Sequence[str]) -> dict[str, int]:
        return {user_id: self.server.published.get(user_id, 0) for user_id in user_ids}

    async def close(self) -> None:
        """The server keeps what it has."""

    def _redelivered(self, members: Group, member: tuple[str, str, str], now: float) -> list[int]:
        """Once per bus what this consumer had not acknowledged; at any time what others have held for too long."""
        consumer = member[2]
        restarted = member not in self._recovered
        self._recovered.add(member)
        return sorted(
            number
            for number, (holder, since) in members.pending.items()
            if (restarted and holder == consumer) or (holder != consumer and now - since >= self._abandoned_seconds)
        )


async def _first(
    look: Callable[[], list[tuple[str, bytes]]], log: Stream, block_seconds: float, *, look_again: float = float("inf")
) -> list[tuple[str, bytes]]:
    """What `look` finds, waiting up to `block_seconds` until it finds anything."""
    now = asyncio.get_running_loop().time
    deadline = now() + block_seconds
    while not (found := look()) and (left := deadline - now()) > 0:
        await log.wait(min(left, look_again))
    return found
