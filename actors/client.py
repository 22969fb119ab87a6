"""Talking to a running system as any outside program does: commands in, answers and events out, over the bus."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from runtime import channels
from runtime.commands import Action
from runtime.errors import ServerUnavailable
from runtime.events import EventType, PublicEvent
from runtime.ports import Bus

STREAM_LENGTH = 100_000
_BLOCK_SECONDS = 1.0
_ANSWERS = frozenset({EventType.COMMAND_ACCEPTED, EventType.COMMAND_REJECTED})
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class NoAnswer(ServerUnavailable):
    """The command was sent and nobody has answered: it may still take effect."""


class Client:
    """`bus` stays the caller's to close."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def send(
        self,
        action: Action,
        user_id: str | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        command_id: str | None = None,
        by_channel: bool = False,
        timeout_seconds: float = 10.0,
    ) -> PublicEvent:
        """Send one command, by the stream or by the pub/sub channel, and wait for its answer.

        Raises:
            NoAnswer: none within `timeout_seconds`.
        """
        command_id = command_id or uuid.uuid4().hex
        command: dict[str, Any] = {"action": action, "command_id": command_id, "data": dict(data or {})}
        if user_id is not None:
            command["user_id"] = user_id
        payload = json.dumps(command).encode()
        after = await self._bus.last_id(channels.EVENTS_STREAM)
        if by_channel:
            await self._bus.publish(channels.COMMANDS, payload)
        else:
            await self._bus.append(channels.COMMANDS_STREAM, payload, max_length=STREAM_LENGTH)
        try:
            async with asyncio.timeout(timeout_seconds):
                async for _, event in self.follow(after=after):
                    if event.type in _ANSWERS and event.data.get("command_id") == command_id:
                        return event
        except TimeoutError:
            pass
        raise NoAnswer(
            f"no answer to {action} within {timeout_seconds:g} s (command_id {command_id}): is the runtime up? `shoal doctor` looks"
        )

    async def follow(self, *, after: str = "$", user_id: str | None = None) -> AsyncIterator[tuple[str, PublicEvent]]:
        """Events with their stream ids, those after id `after` ("0": all that are kept) and then each as it comes, for ever."""
        cursor = await self._bus.last_id(channels.EVENTS_STREAM) if after == "$" else after
        while True:
            page = await self._page(cursor, block_seconds=_BLOCK_SECONDS)
            for entry_id, event in page:
                if user_id is None or event.user_id == user_id:
                    yield entry_id, event
            cursor = page[-1][0] if page else cursor

    async def events(self, *, after: str = "0", user_id: str | None = None) -> AsyncIterator[tuple[str, PublicEvent]]:
        """The events after id `after` that are there now."""
        cursor = after
        while page := await self._page(cursor):
            for entry_id, event in page:
                if user_id is None or event.user_id == user_id:
                    yield entry_id, event
            cursor = page[-1][0]

    async def _page(self, after: str, *, block_seconds: float | None = None) -> list[tuple[str, PublicEvent]]:
        entries = await self._bus.read(channels.EVENTS_STREAM, after, block_seconds=block_seconds)
        return [(entry_id, _decode_event(payload)) for entry_id, payload in entries]
