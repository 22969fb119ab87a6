"""What passes between the steps of a host's trading floor."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from actors.user_trader import UserTrader
from runtime.events import Effect, EngineInput, JournalRecord
from runtime.orders import OrderEvent

Input: TypeAlias = tuple[str, EngineInput]
"""(user id, what its trader is to take in)."""
Answer: TypeAlias = tuple[str, OrderEvent]


class Turned(msgspec.Struct, frozen=True):
    """One applied input whose record is not durable yet."""

    trader: UserTrader
    record: JournalRecord
    effects: list[Effect]


class Stopwatch(msgspec.Struct, frozen=True):
    """Wall-clock origin of what is being settled, in nanoseconds, for measurement only (0: not measured)."""

    candle_closed_at_ns: int = 0
    tick_received_at_ns: int = 0


class Failure(msgspec.Struct):
    """A trader whose engine failed on an input in the middle of a round. What comes for its user in the rest of it waits here."""

    trader: UserTrader
    event: EngineInput
    error: Exception
    missed: list[EngineInput] = []


NOT_MEASURED = Stopwatch()
