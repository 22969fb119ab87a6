"""A user's journal played again from its first record: does it lead to the state, and to the events, that were lived?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, cast

import msgspec

from actors.wire import decode_input
from runtime.engine import TradingEngine
from runtime.errors import InvalidInput
from runtime.events import JournalRecord, Publish
from runtime.ports import Journal
from runtime.state import EngineState, decode_state, encode_state

_encode_event = msgspec.json.Encoder().encode
_ABSENT = "absent"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where the replay first differs: after journal record `record`, in `field` (a path into the event or the state)."""

    record: int
    field: str
    lived: Any
    replayed: Any


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """`events` were compared text for text; `snapshot` is the record at which the kept state was compared byte for byte (None: none kept).

    `from_record` above 1: older records are no longer kept, so the replay began with the snapshot.
    """

    user_id: str
    from_record: int
    records: int
    events: int
    snapshot: int | None
    state_bytes: int
    difference: Difference | None

    @property
    def is_equal(self) -> bool:
        return self.difference is None


async def replay_user(journal: Journal, user_id: str) -> Replay:
    """Play every record through a fresh engine; stops at the first difference.

    Raises:
        InvalidInput: the journal knows no such user.
    """
    kept = (await journal.load_snapshots([user_id])).get(user_id)
    engine, first, number, records, events = TradingEngine(EngineState(user_id=user_id)), 1, 0, 0, 0
    difference: Difference | None = None
    async for record in journal.read(user_id):
        if records == 0 and record.number > 1:
            if kept is None or kept[0] + 1 < record.number:
                raise InvalidInput("USER", user_id, f"the journal begins with record {record.number} and no snapshot goes before it")
            engine, first, number = TradingEngine(decode_state(kept[1])), kept[0] + 1, kept[0]
        if record.number <= number:
            continue
        difference = _play(engine, record)
        number, records, events = record.number, records + 1, events + len(record.events)
        if difference is None and kept is not None and number == kept[0]:
            difference = _state_difference(number, kept[1], encode_state(engine.state))
        if difference is not None:
            break
    if not number:
        raise InvalidInput("USER", user_id, "has no journal here: `shoal status` lists the users")
    return Replay(
        user_id=user_id,
        from_record=first,
        records=records,
        events=events,
        snapshot=None if kept is None else kept[0],
        state_bytes=len(encode_state(engine.state)),
        difference=difference,
    )


def _play(engine: TradingEngine, record: JournalRecord) -> Difference | None:
    engine.state.epoch = record.epoch
    effects = engine.process(decode_input(record.input))
    said = [_encode_event(effect.event).decode() for effect in effects if isinstance(effect, Publish)]
    for index, (lived, replayed) in enumerate(zip_longest(record.events, said)):
        if lived != replayed:
            path, before, after = _first_difference(f"events.{index}", _decoded(lived), _decoded(replayed))
            return Difference(record=record.number, field=path, lived=before, replayed=after)
    if engine.state.seq != record.last_seq:
        return Difference(record=record.number, field="seq", lived=record.last_seq, replayed=engine.state.seq)
    return None


def _state_difference(number: int, lived: bytes, replayed: bytes) -> Difference | None:
    if lived == replayed:
        return None
    path, before, after = _first_difference("state", msgspec.json.decode(lived), msgspec.json.decode(replayed))
    return Difference(record=number, field=path, lived=before, replayed=after)


def _decoded(text: str | None) -> Any:
    return _ABSENT if text is None else msgspec.json.decode(text)


def _first_difference(path: str, lived: Any, replayed: Any) -> tuple[str, Any, Any]:
    """The innermost place; the order of a map's fields counts too, as it does in the bytes."""
    for name, before, after in _parts(lived, replayed):
        if before != after:
            return _first_difference(f"{path}.{name}", before, after)
    return path, lived, replayed


def _parts(lived: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(lived, dict) and isinstance(replayed, dict):
        ours, theirs = cast("dict[str, Any]", lived), cast("dict[str, Any]", replayed)
        for name in dict.fromkeys([*ours, *theirs]):
            yield name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
    elif isinstance(lived, list) and isinstance(replayed, list):
        pairs = zip_longest(cast("list[Any]", lived), cast("list[Any]", replayed), fillvalue=_ABSENT)
        for index, (before, after) in enumerate(pairs):
            yield str(index), before, after
