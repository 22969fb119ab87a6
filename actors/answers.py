"""What each command was answered: kept under its id, so that a repeat hears the first outcome."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.streams import unless_redis_is_away
from runtime import channels
from runtime.events import EventType, PublicEvent
from runtime.ports import Bus, Journal, Store

_decode_event = msgspec.json.Decoder(PublicEvent).decode
_ANSWER_TEXT = '"COMMAND_'
_ANSWERS = frozenset({EventType.COMMAND_ACCEPTED, EventType.COMMAND_REJECTED})


def command_key(user_id: str, command_id: str) -> str:
    """Key of the `commands` collection: ids are unique per user, who cannot have a slash in his own."""
    return f"{user_id}/{command_id}"


class Answers:
    """Written by the host that holds the user, when the effect is durable; read by the supervisor."""

    def __init__(self, bus: Bus, store: Store, journal: Journal) -> None:
        self._bus, self._store, self._journal = bus, store, journal

    async def record(self, user_id: str, command_id: str, events: Iterable[str]) -> None:
        """Keep the answer and tell the supervisor. `events` are what the command made its trader say, as JSON."""
        answer = _answer(command_id, events) or await self._said_before(user_id, command_id)
        key = command_key(user_id, command_id)
        if answer is not None:
            accepted = answer.type is EventType.COMMAND_ACCEPTED
            outcome = {"user_id": user_id, "accepted": accepted, "outcome": answer.data, "event_id": answer.event_id}
            await self._store.upsert("commands", {key: outcome})
        await unless_redis_is_away(self._bus.publish(channels.ACKNOWLEDGED, key.encode()))

    async def _said_before(self, user_id: str, command_id: str) -> PublicEvent | None:
        """The trader knows this command already. If its answer is not kept, a process died between journal and here."""
        kept = await self._store.get("commands", command_key(user_id, command_id))
        if kept is not None and "outcome" in kept:
            return None
        async for record in self._journal.read(user_id):
            if (answer := _answer(command_id, record.events)) is not None:
                return answer
        return None


def _answer(command_id: str, events: Iterable[str]) -> PublicEvent | None:
    said = (_decode_event(text) for text in events if _ANSWER_TEXT in text)
    return next((event for event in said if event.type in _ANSWERS and event.data.get("command_id") == command_id), None)
