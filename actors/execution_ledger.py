"""Every decision of a strategy is executed once: recorded under a unique key, sent under the lease, finished by a successor.

A record in `executions` (one per strategy and candle) is `decided` before its signal is on the stream and `published` after.
A process that dies between the two leaves it `decided`; the next holder of the lease sends it then, unless it was sent already:
the stream itself takes each signal once, and from the holder of the newest token only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from loguru import logger

from actors.lease import Lease
from actors.streams import is_after
from actors.wire import SignalMessage, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.ports import Bus, Clock, Store
from runtime.signal_engine import StrategyFailed
from runtime.signals import Signal

DECIDED, PUBLISHED, FAILED = "decided", "published", "failed"
SIGNALS_KEPT = 100_000
STORE_SECONDS_MAX = 2.0
"""Prices wait no longer than this for a signal to become durable; the signal waits by itself then."""
SENT_TOGETHER = 100
"""Signals that were withheld, made durable at once, so that a backlog shrinks while new ones come."""
_RETRY_SECONDS = 1.0


class ExecutionLedger:
    """`newest_id` is the stream id of the newest signal sent by anybody so far."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, lease: Lease) -> None:
        self.newest_id = "0"
        self._bus, self._store, self._clock, self._lease = bus, store, clock, lease
        self._withheld: list[SignalMessage] = []
        self._to_note: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()

    async def resume(self) -> None:
        """Send what an earlier holder of the lease decided and did not live to send."""
        self.newest_id = await self._bus.last_id(channels.SIGNALS)
        for execution in await self._store.find("executions", {"state": DECIDED}, sort="ts"):
            document = await self._store.get("signals", str(execution["_id"]))
            if document is not None:  # else the candle is decided anew: it was not noted as done either
                logger.warning("signal {} was decided but not sent: sending it now", execution["_id"])
                await self._send(SignalMessage(signal=msgspec.convert(document, Signal, strict=False), closed_at_ns=0))

    async def execute(self, messages: Sequence[SignalMessage]) -> list[Signal]:
        """Make decisions durable, all at once, and send them in their order. Returns those that nobody had made before; when the
        store is away none, and `run` tries again.

        Raises:
            LeaseLost: another process decides now.
        """
        if not self._withheld:
            try:
                async with asyncio.timeout(STORE_SECONDS_MAX):
                    return await self._execute(messages)
            except (TimeoutError, ServerUnavailable) as error:
                names = ", ".join(message.signal.signal_id for message in messages)
                logger.error("signals are withheld until they can be made durable: {}: {}", names, error or "no answer")
        self._withheld += messages
        self._news.set()
        return []

    async def note_failure(self, failure: StrategyFailed) -> None:
        """A strategy raised an error on a candle: that is its execution."""
        document = {"strategy_key": failure.key, "candle_time": failure.candle_time, "ts": failure.candle_time}
        more = {"state": FAILED, "error": failure.error, "token": self._lease.token}
        self._note(f"{failure.key}:{failure.candle_time.isoformat()}", document | more)

    async def run(self) -> None:
        """Note what was sent, and send what was withheld, behind the market."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.settled()
            except ServerUnavailable as error:
                logger.warning("{} signals and {} notes wait for a server: {}", len(self._withheld), len(self._to_note), error)
                await self._clock.sleep(_RETRY_SECONDS)
                self._news.set()

    async def settled(self) -> None:
        """Send what was withheld and write the notes that are left. May be called while `run` is at it: both do no harm."""
        while self._withheld:
            messages = self._withheld[:SENT_TOGETHER]
            await self._execute(messages)
            self._withheld = [message for message in self._withheld if message not in messages]
        await self._write_notes()

    async def _execute(self, messages: Sequence[SignalMessage]) -> list[Signal]:
        recorded = await asyncio.gather(*(self._record(message.signal) for message in messages))
        for message, (is_due, _) in zip(messages, recorded, strict=True):
            if is_due:
                await self._send(message)
        return [message.signal for message, (is_due, is_new) in zip(messages, recorded, strict=True) if is_due and is_new]

    async def _record(self, signal: Signal) -> tuple[bool, bool]:
        """Whether it is still to be sent, and whether the signal is new."""
        execution = {
            "strategy_key": signal.strategy_key,
            "candle_time": signal.candle_time,
            "ts": signal.ts,
            "state": DECIDED,
            "token": self._lease.token,
        }
        document: Mapping[str, Any] = msgspec.to_builtins(signal, builtin_types=(datetime,))
        first, is_new = await asyncio.gather(
            self._store.insert_once("executions", signal.signal_id, execution),
            self._store.insert_once("signals", signal.signal_id, document),
        )
        if not first:
            earlier = await self._store.get("executions", signal.signal_id)
            if earlier is not None and earlier["state"] == PUBLISHED:
                return False, False
        return True, is_new

    async def _send(self, message: SignalMessage) -> None:
        lease, signal_id = self._lease, message.signal.signal_id
        entry_id = await self._bus.append_under(
            lease.name, lease.token, channels.SIGNALS, encode(message), once=signal_id, max_length=SIGNALS_KEPT
        )
        self.newest_id = entry_id if is_after(entry_id, self.newest_id) else self.newest_id
        self._note(signal_id, {"state": PUBLISHED, "entry_id": entry_id, "token": lease.token})

    def _note(self, key: str, fields: dict[str, Any]) -> None:
        self._to_note[key] = fields
        self._news.set()

    async def _write_notes(self) -> None:
        while self._to_note:
            notes, self._to_note = self._to_note, {}
            try:
                await self._store.upsert("executions", notes)
            except ServerUnavailable:
                self._to_note = notes | self._to_note
                raise
