"""Commands on their way to hosts, and what became of each: its answer, once, under the user and the command's id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from actors.answers import command_key
from actors.wire import ForUser, HostMessage, encode
from runtime import channels
from runtime.events import EngineInput, RepeatCommand
from runtime.ports import Bus, Clock, Store

REROUTE_SECONDS = 5.0
INBOX_LENGTH = 100_000


class _Pending(msgspec.Struct):
    """A routed command whose effect is not known to be durable yet."""

    routed_at: float
    message: ForUser
    entries: list[str]


class Dispatcher:
    """`host_of` says where a user lives now: a command whose user is moved meanwhile follows him."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, host_of: Callable[[str], str]) -> None:
        self._bus, self._store, self._clock, self._host_of = bus, store, clock, host_of
        self._pending: dict[str, _Pending] = {}

    async def was_answered(self, user_id: str, command_id: str, action: str, entry_id: str | None) -> bool:
        """The command id's unique key decides. A repeat hears the first outcome; one still under way is merely routed again."""
        key = command_key(user_id, command_id)
        document = {"user_id": user_id, "command_id": command_id, "action": action, "received_at": self._clock.now()}
        if await self._store.insert_once("commands", key, document):
            return False
        earlier = await self._store.get("commands", key)
        if earlier is None or "outcome" not in earlier:
            return False
        if entry_id is None or earlier.get("entry_id") != entry_id:  # the sender's repeat, not our own redelivery
            accepted, outcome = bool(earlier["accepted"]), dict(earlier["outcome"])
            event = RepeatCommand(ts=self._clock.now(), command_id=command_id, accepted=accepted, outcome=outcome)
            await self.send(self._host_of(user_id), ForUser(user_id=user_id, input=event))
        if entry_id is not None:
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, entry_id)
        return True

    def is_pending(self, user_id: str, command_id: str) -> bool:
        return command_key(user_id, command_id) in self._pending

    async def route(self, user_id: str, event: EngineInput, command_id: str, entry_id: str | None) -> None:
        """A repeat of what is under way sends that again, and waits for its answer with it."""
        key = command_key(user_id, command_id)
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending(_loop_time(), ForUser(user_id=user_id, input=event), [])
        if entry_id is not None:
            pending.entries.append(entry_id)  # before anything is awaited: the answer may come at any moment and ends them all
            await self._store.upsert("commands", {key: {"entry_id": entry_id}})
        await self.send(self._host_of(user_id), pending.message)

    async def send(self, host_id: str, message: HostMessage) -> None:
        await self._bus.append(channels.host_inbox(host_id), encode(message), max_length=INBOX_LENGTH)

    async def acknowledge(self, key: str) -> None:
        """The effect of this command is durable."""
        pending = self._pending.pop(key, None)
        if pending is not None and pending.entries:
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, *pending.entries)

    async def reroute_lost(self) -> None:
        """A command without a durable answer is sent again: the engine knows its id, so a second arrival changes nothing."""
        horizon = _loop_time() - REROUTE_SECONDS
        for key, pending in list(self._pending.items()):
            if pending.routed_at > horizon:
                continue
            document = await self._store.get("commands", key)
            if document is not None and "outcome" in document:
                await self.acknowledge(key)
            else:
                await self._again(pending)

    async def follow(self, user_id: str) -> None:
        """What is under way for a user who has moved goes to where he lives now."""
        for pending in [pending for pending in self._pending.values() if pending.message.user_id == user_id]:
            await self._again(pending)

    def busy_users(self) -> set[str]:
        return {pending.message.user_id for pending in self._pending.values()}

    async def _again(self, pending: _Pending) -> None:
        pending.routed_at = _loop_time()
        await self.send(self._host_of(pending.message.user_id), pending.message)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
