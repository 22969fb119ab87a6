"""`runtime.ports.Bus` on redis.asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from adapters.redis_bus import entries
from adapters.redis_bus.connection import BLOCK_SECONDS_MAX, Connection
from adapters.redis_bus.groups import Entries, GroupReader, create_group, stream_entries
from adapters.redis_bus.publisher import Publisher
from adapters.redis_bus.subscription import RedisSubscription
from runtime import channels
from runtime.errors import LeaseLost

EVENTS_KEPT_MAX = 1_000_000
_EVENTS_PER_CALL = 1_000  # one fsync for all of them; keeps a call of the script near 8 ms, as nothing else runs on the server meanwhile
_PUBLISHED_SEQ = "shoal:seq"
_ONCE_SECONDS = 86_400
_GIVEN_OUT = ":token"  # beside a lease: how often

_PUBLISH_EVENTS = """
local published = {}
for i = 3, #ARGV, 3 do
  local user, seq, event = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local last = published[user] or tonumber(redis.call('HGET', KEYS[1], user) or 0)
  if seq > last then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 'event', event)
    redis.call('PUBLISH', ARGV[2], event)
    redis.call('PUBLISH', ARGV[2] .. ':' .. user, event)
    redis.call('HSET', KEYS[1], user, seq)
    last = seq
  end
  published[user] = last
end
"""

_TAKE_LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(redis.call('GET', KEYS[2]) or redis.call('INCR', KEYS[2]))
end
if holder and ARGV[3] == '0' then return false end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return redis.call('INCR', KEYS[2])
"""

_RELEASE_LEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""

_APPEND_UNDER = """
if tonumber(redis.call('GET', KEYS[1]) or 0) > tonumber(ARGV[1]) then return false end
local sent = redis.call('GET', KEYS[3])
if sent then return sent end
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', ARGV[3], ARGV[4])
redis.call('SET', KEYS[3], id, 'EX', ARGV[5])
return id
"""


class RedisBus:
    """Redis or Valkey at `url`. `prefix` goes before every key and channel, for tests that share a server.

    What another consumer of a group has held unacknowledged for `abandoned_seconds` is taken over.
    A call that fails because the connection did is repeated for `patience_seconds`, then raises `ServerUnavailable`. A
    repeated `append` may write its entry twice: readers drop duplicates by the id in the payload.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "",
        patience_seconds: float = 10.0,
        abandoned_seconds: float = 5.0,
        events_kept_max: int = EVENTS_KEPT_MAX,
    ) -> None:
        self._prefix = prefix
        self._events_kept_max = events_kept_max
        self._abandoned_seconds = abandoned_seconds
        self._connection = Connection(url, patience_seconds)
        self._publisher = Publisher(self._connection)
        self._readers: dict[tuple[str, str, str], GroupReader] = {}
        scripts = self._connection.commands
        self._publish_events = scripts.register_script(_PUBLISH_EVENTS)
        self._take_lease, self._append_under = scripts.register_script(_TAKE_LEASE), scripts.register_script(_APPEND_UNDER)
        self._release_lease = scripts.register_script(_RELEASE_LEASE)

    async def publish(self, channel: str, payload: bytes) -> None:
        await self._publisher.publish(self._prefix + channel, payload)

    def subscribe(self, *channels: str) -> RedisSubscription:
        return RedisSubscription(self._connection, channels, self._prefix)

    async def append(self, stream: str, payload: bytes, *, max_length: int) -> str:
        entry_id = await self._connection.run("XADD", self._prefix + stream, "MAXLEN", "~", max_length, "*", entries.FIELD, payload)
        return entry_id.decode()

    async def read(self, stream: str, after: str, *, count: int = 500, block_seconds: float | None = None) -> list[tuple[str, bytes]]:
        # "$" is looked up first: a read repeated after a lost connection would else start at the newest entry of that moment.
        start = await self.last_id(stream) if after == "$" else after
        now = asyncio.get_running_loop().time
        deadline = now() + (block_seconds or 0)
        while True:
            wait = min(deadline - now(), BLOCK_SECONDS_MAX)
            block = ("BLOCK", max(1, int(wait * 1000))) if wait > 0 else ()
            command = ("XREAD", "COUNT", count, *block, "STREAMS", self._prefix + stream, start)
            found = stream_entries(await self._connection.retrying(lambda command=command: self._connection.run_blocking(*command)))
            if found or now() >= deadline:
                return _payloads(found)

    async def create_group(self, stream: str, group: str) -> None:
        await create_group(self._connection, self._prefix + stream, group)

    async def read_group(
        self, stream: str, group: str, consumer: str, *, count: int = 100, block_seconds: float | None = None
    ) -> list[tuple[str, bytes]]:
        member = (self._prefix + stream, group, consumer)
        if member not in self._readers:
            self._readers[member] = GroupReader(self._connection, *member, self._abandoned_seconds)
        found = await self._readers[member].read(count, block_seconds or 0)
        trimmed = [entry_id.decode() for entry_id, fields in found if not fields]
        await self.acknowledge(stream, group, *trimmed)
        return _payloads(found)

    async def acknowledge(self, stream: str, group: str, *entry_ids: str) -> None:
        if entry_ids:  # deleted first: an entry that is still pending when we die is found again, one that is not never is
            await self._connection.run("XDEL", self._prefix + stream, *entry_ids)
            await self._connection.run("XACK", self._prefix + stream, group, *entry_ids)

    async def last_id(self, stream: str) -> str:
        newest = await self._connection.run("XREVRANGE", self._prefix + stream, "+", "-", "COUNT", 1)
        return newest[0][0].decode() if newest else "0"

    async def set_key(self, key: str, value: bytes) -> None:
        await self._connection.run("SET", self._prefix + key, value)

    async def get_key(self, key: str) -> bytes | None:
        return await self._connection.run("GET", self._prefix + key)

    async def set_fields(self, key: str, fields: Mapping[str, bytes]) -> None:
        if fields:
            await self._connection.run("HSET", self._prefix + key, *(part for field in fields.items() for part in field))

    async def get_fields(self, key: str) -> dict[str, bytes]:
        fields: dict[bytes, bytes] = await self._connection.run("HGETALL", self._prefix + key)
        return {name.decode(): value for name, value in fields.items()}

    async def delete_field(self, key: str, field: str) -> None:
        await self._connection.run("HDEL", self._prefix + key, field)

    async def delete_key(self, key: str) -> None:
        await self._connection.run("DEL", self._prefix + key)

    async def take_lease(self, lease: str, holder: str, seconds: float, *, by_force: bool = False) -> int | None:
        keys = [self._prefix + lease, self._prefix + lease + _GIVEN_OUT]
        arguments = [holder, int(seconds * 1000), int(by_force)]
        return await self._connection.retrying(lambda: self._take_lease(keys=keys, args=arguments))

    async def release_lease(self, lease: str, holder: str) -> None:
        await self._connection.retrying(lambda: self._release_lease(keys=[self._prefix + lease], args=[holder]))

    async def append_under(self, lease: str, token: int, stream: str, payload: bytes, *, once: str, max_length: int) -> str:
        keys = [self._prefix + lease + _GIVEN_OUT, self._prefix + stream, f"{self._prefix}{stream}:{once}"]
        arguments: list[str | int | bytes] = [token, max_length, entries.FIELD, payload, _ONCE_SECONDS]
        entry_id = await self._connection.retrying(lambda: self._append_under(keys=keys, args=arguments))
        if entry_id is None:
            raise LeaseLost(lease, token)
        return entry_id.decode()

    async def publish_events(self, events: Sequence[tuple[str, int, str]]) -> None:
        keys = [self._prefix + _PUBLISHED_SEQ, self._prefix + channels.EVENTS_STREAM]
        for start in range(0, len(events), _EVENTS_PER_CALL):
            arguments: list[str | int] = [self._events_kept_max, self._prefix + channels.EVENTS]
            for event in events[start : start + _EVENTS_PER_CALL]:
                arguments += event
            await self._connection.retrying(lambda arguments=arguments: self._publish_events(keys=keys, args=arguments))

    async def published_seqs(self, user_ids: Sequence[str]) -> dict[str, int]:
        seqs: list[bytes | None] = await self._connection.run("HMGET", self._prefix + _PUBLISHED_SEQ, *user_ids) if user_ids else []
        return {user_id: int(seq or 0) for user_id, seq in zip(user_ids, seqs, strict=True)}

    async def close(self) -> None:
        """Raises `ServerUnavailable` when messages published before could not be sent; everything is closed even so."""
        try:
            await self._publisher.flush()
        finally:
            await self._connection.close()


def _payloads(found: Entries) -> list[tuple[str, bytes]]:
    return [(entry_id.decode(), entries.payload(fields)) for entry_id, fields in found if fields]
