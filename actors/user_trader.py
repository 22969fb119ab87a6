"""One user's trader: its engine, the journal numbers it owns, and what it still has to tell the world."""

from __future__ import annotations

import msgspec

from actors.wire import decode_input, encode
from runtime.engine import TradingEngine
from runtime.events import Effect, EngineInput, JournalRecord, PublicEvent, Publish
from runtime.ports import Journal
from runtime.state import EngineState, decode_state, encode_state

_encode_event = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class UserTrader:
    """Has no I/O of its own: the host that holds it journals, sends and publishes for all its traders at once."""

    __slots__ = ("engine", "epoch", "number", "since_snapshot", "unsettled", "user_id")

    def __init__(self, user_id: str, *, state: EngineState, number: int, epoch: int) -> None:
        self.user_id = user_id
        self.engine = TradingEngine(state)
        self.number = number
        self.epoch = epoch
        self.since_snapshot = 0
        self.unsettled: list[JournalRecord] = []
        """Records of inputs that were applied and are not durable yet."""

    @property
    def state(self) -> EngineState:
        return self.engine.state

    def take(self, event: EngineInput, *, encoded: str | None = None) -> tuple[JournalRecord, list[Effect]]:
        """Apply one input; the record must be durable before any of the effects is acted on. `encoded`: the input as JSON.

        Raises whatever a faulty configuration makes the engine raise; the trader must then be set aside.
        """
        effects = self.engine.process(event)
        self.number += 1
        self.since_snapshot += 1
        record = JournalRecord(
            user_id=self.user_id,
            number=self.number,
            epoch=self.epoch,
            ts=event.ts,
            input=encoded or encode(event).decode(),
            events=tuple([_encode_event(effect.event).decode() for effect in effects if isinstance(effect, Publish)]),
            last_seq=self.engine.state.seq,
        )
        self.unsettled.append(record)
        return record, effects

    def settled(self, record: JournalRecord) -> None:
        """Told when a record, and so every one before it, is durable."""
        self.unsettled = [later for later in self.unsettled if later.number > record.number]

    def snapshot(self) -> bytes:
        self.since_snapshot = 0
        return encode_state(self.engine.state)


async def replay(journal: Journal, user_id: str, *, from_snapshot: bool = True) -> tuple[EngineState, int, list[JournalRecord]]:
    """Rebuild a user's state from snapshot and journal: (state, last number, the records after the snapshot)."""
    snapshot = (await journal.load_snapshots([user_id])).get(user_id) if from_snapshot else None
    number = 0 if snapshot is None else snapshot[0]
    return fold(user_id, snapshot, [record async for record in journal.read(user_id, after=number)])


def fold(user_id: str, snapshot: tuple[int, bytes] | None, records: list[JournalRecord]) -> tuple[EngineState, int, list[JournalRecord]]:
    """The state that these records, the ones after the snapshot, lead to; the last number, and the records."""
    number, state = (0, EngineState(user_id=user_id)) if snapshot is None else (snapshot[0], decode_state(snapshot[1]))
    engine = TradingEngine(state)
    for record in records:
        state.epoch = record.epoch
        engine.process(decode_input(record.input))
        number = record.number
    return state, number, records


def public_events(record: JournalRecord) -> list[PublicEvent]:
    return [_decode_event(text) for text in record.events]
