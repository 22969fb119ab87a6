"""An outside program: plain redis-py, JSON, and the published contract. It knows nothing else of the runtime."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast
from uuid import uuid4

import msgspec
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from actors.market_progress import MARKET_STATISTICS, MarketStatistics
from actors.wire import BeginSession, encode
from runtime import channels
from runtime.events import EventType, PublicEvent

Door = Literal["channel", "stream"]
DOORS: tuple[Door, ...] = ("channel", "stream")
ANSWERS = frozenset({EventType.COMMAND_ACCEPTED, EventType.COMMAND_REJECTED})
READ_BLOCK_MS = 100

_decode_event = msgspec.json.Decoder(PublicEvent).decode
_decode_statistics = msgspec.json.Decoder(MarketStatistics).decode


class Outside:
    """Sends commands by either door and keeps every event it reads, in the order of the stream."""

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url, protocol=2, socket_timeout=10, retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 60))
        self.events: list[PublicEvent] = []
        self.answers: dict[str, list[PublicEvent]] = {}
        """Answers by command id."""
        self._cursor = "0"

    # --- commands ---

    def send(
        self,
        action: str,
        user_id: str | None = None,
        data: Mapping[str, object] | None = None,
        *,
        command_id: str | None = None,
        door: Door = "stream",
    ) -> str:
        """Returns the command id."""
        command_id = command_id or uuid4().hex
        message = {"action": action, "user_id": user_id, "command_id": command_id, "data": data or {}}
        self.send_raw(json.dumps({name: value for name, value in message.items() if value is not None}).encode(), door)
        return command_id

    def send_raw(self, payload: bytes, door: Door) -> str:
        """Returns the id of the stream's entry, "" for the channel."""
        if door == "channel":
            self.redis.publish(channels.COMMANDS, payload)
            return ""
        return cast("bytes", self.redis.xadd(channels.COMMANDS_STREAM, {"command": payload})).decode()

    def ask(self, action: str, user_id: str | None = None, data: Mapping[str, object] | None = None, **more: Any) -> PublicEvent:
        """Send and wait for the answer."""
        return self.answer(self.send(action, user_id, data, **more))

    def answer(self, command_id: str, *, seconds: float = 30.0) -> PublicEvent:
        """The newest answer to this command."""
        self.wait(lambda: command_id in self.answers, seconds, f"an answer to {command_id}")
        return self.answers[command_id][-1]

    # --- events ---

    def read(self) -> int:
        """Take in what is new on the events stream, waiting shortly if nothing is."""
        answer = cast("Any", self.redis.xread({channels.EVENTS_STREAM: self._cursor}, count=5_000, block=READ_BLOCK_MS))
        entries: list[tuple[bytes, dict[bytes, bytes]]] = answer[0][1] if answer else []
        for entry_id, fields in entries:
            self._cursor = entry_id.decode()
            event = _decode_event(fields[b"event"])
            self.events.append(event)
            if event.type in ANSWERS:
                self.answers.setdefault(str(event.data["command_id"]), []).append(event)
        return len(entries)

    def wait(self, condition: Callable[[], bool], seconds: float, what: str | Callable[[], str]) -> None:
        """Read events until `condition` holds. Raises `AssertionError` naming `what` did not happen in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what if isinstance(what, str) else what()}"
            self.read()

    def of(self, user_id: str, *types: EventType) -> list[PublicEvent]:
        return [event for event in self.events if event.user_id == user_id and (not types or event.type in types)]

    def commands_left(self) -> list[Any]:
        """Commands on the stream that nobody has acknowledged."""
        return cast("list[Any]", self.redis.xrange(channels.COMMANDS_STREAM))

    # --- the market's own start button and counters ---

    def begin(self) -> None:
        self.redis.xadd(channels.MARKET_CONTROL, {"m": encode(BeginSession())})

    def market(self) -> MarketStatistics:
        payload = cast("bytes | None", self.redis.get(MARKET_STATISTICS))
        return MarketStatistics() if payload is None else _decode_statistics(payload)

    def close(self) -> None:
        self.redis.close()
