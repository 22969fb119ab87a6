"""Users on their way from one host to another, without a moment in which their stops are watched by nobody.

A move is three steps, each of which may be repeated: the session names its new host; the new host, on the first message for the
user, takes the next epoch and writes to his journal, which ends what the old host may do, looks at the prices and signals the
old host may not have got to, and answers; the old host is told to let go. Until the new host has written, the old one acts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from loguru import logger

from actors.answers import command_key
from actors.placement import Placement, PlacementKind
from actors.supervisor.dispatch import Dispatcher
from actors.supervisor.sessions import Sessions
from actors.wire import ForUser, Release
from runtime.events import AcceptCommand, Announce, EventType
from runtime.ports import Clock, Store

MOVES = "moves"
AT_ONCE = 32
"""Users under way together: a new host brings one to life in milliseconds, and should go on trading meanwhile."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    source: str
    target: str
    kind: PlacementKind
    command_id: str
    drains: str | None = None
    """The host that is being drained, where it is one of many."""


class Moves:
    """Open moves are in the collection `moves`; a supervisor that starts takes them up again. `voice`: see `Halts`."""

    def __init__(self, store: Store, clock: Clock, sessions: Sessions, dispatcher: Dispatcher, *, voice: str) -> None:
        self._store, self._clock, self._sessions, self._dispatcher, self._voice = store, clock, sessions, dispatcher, voice
        self._open: dict[str, Move] = {}
        """By command key."""
        self._waiting: deque[tuple[str, str, str]] = deque()
        """(user id, host being drained, the drain's command id)."""
        self._drains: dict[str, tuple[str, int]] = {}
        """Host being drained -> (command id, users to move)."""

    # --- what an operator asks for ---

    async def begin(self, user_id: str, placement: Placement, command_id: str, *, drains: str | None = None) -> AcceptCommand:
        """Returns what the user's trader has to take in: its answer comes from the new host, once he is there."""
        move = Move(
            user_id=user_id,
            source=self._sessions.host_of(user_id),
            target=placement.host_id,
            kind=placement.kind,
            command_id=command_id,
            drains=drains,
        )
        key = command_key(user_id, command_id)
        await self._store.upsert(MOVES, {key: msgspec.to_builtins(move) | {"begun_at": self._clock.now()}})
        await self._sessions.move(user_id, placement)
        await self._dispatcher.follow(user_id)  # before anything newer: the new host gets them in the order they came
        self._open[key] = move
        return self._news(move)

    async def drain(self, host_id: str, command_id: str) -> int:
        """Let everybody who lives there move; nobody is placed there any more. Returns how many they are."""
        await self._sessions.close_host(host_id)
        users = self._sessions.users_of(host_id)
        self._drains[host_id] = (command_id, len(users))
        self._waiting.extend((user_id, host_id, command_id) for user_id in users)
        if not users:
            await self._finish_drain(host_id)
        await self._pump()
        return len(users)

    # --- what goes on by itself ---

    async def restore(self) -> None:
        for document in await self._store.find(MOVES, {}, sort="begun_at"):
            key = str(document["_id"])
            fields = {name: document.get(name) for name in Move.__struct_fields__}
            move = self._open[key] = msgspec.convert(fields, Move)
            if await self._is_answered(key):  # he was there, and may have gone on since
                await self.acknowledged(key)
                continue
            await self._sessions.move(move.user_id, Placement(move.target, move.kind))
            await self._dispatcher.route(move.user_id, self._news(move), move.command_id, None)
        for host_id in self._sessions.closed:
            if self._sessions.users_of(host_id):
                await self.drain(host_id, f"drain-{host_id}")

    def is_open(self, key: str) -> bool:
        return key in self._open

    async def look_again(self) -> None:
        """An answer that was not heard is in the collection."""
        for key in list(self._open):
            if await self._is_answered(key):
                await self.acknowledged(key)
        await self._pump()

    async def _is_answered(self, key: str) -> bool:
        document = await self._store.get("commands", key)
        return document is not None and "outcome" in document

    async def acknowledged(self, key: str) -> None:
        """The effect of a command is durable: if it was a move, the new host has the user."""
        move = self._open.pop(key, None)
        if move is None:
            return
        if self._sessions.host_of(move.user_id) != move.source:  # he has not come back by a later move
            await self._dispatcher.send(move.source, Release(user_id=move.user_id))
        await self._store.delete(MOVES, key)
        logger.info("user {} has moved from {} to {}", move.user_id, move.source, move.target)
        await self._sessions.end_if_left(move.source)
        if move.drains is not None:
            await self._pump()
            if not self._left(move.drains):
                await self._finish_drain(move.drains)

    async def _pump(self) -> None:
        while self._waiting and len(self._open) < AT_ONCE:
            user_id, host_id, command_id = self._waiting.popleft()
            if self._sessions.host_of(user_id) != host_id:  # he has gone by himself
                continue
            event = await self.begin(user_id, self._sessions.place_anew(user_id), f"{command_id}:{user_id}"[-128:], drains=host_id)
            await self._dispatcher.route(user_id, event, event.command_id, None)

    def _left(self, host_id: str) -> bool:
        under_way: Iterable[str | None] = [move.drains for move in self._open.values()]
        return host_id in under_way or any(host == host_id for _, host, _ in self._waiting)

    async def _finish_drain(self, host_id: str) -> None:
        command_id, users = self._drains.pop(host_id, ("", 0))
        data: dict[str, Any] = {"command_id": command_id, "host": host_id, "users": users}
        event = Announce(ts=self._clock.now(), event_type=EventType.HOST_DRAINED, data=data)
        await self._dispatcher.send(self._sessions.host_of(self._voice), ForUser(user_id=self._voice, input=event))

    def _news(self, move: Move) -> AcceptCommand:
        detail = {"from": move.source, "to": move.target}
        return AcceptCommand(ts=self._clock.now(), command_id=move.command_id, action="MIGRATE_USER", detail=detail)
