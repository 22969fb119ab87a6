"""PUBLISH_SIGNAL: another program's signal is kept once, then handed to the market data like a strategy's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from actors.wire import InboundSignal, encode
from runtime import channels
from runtime.commands import SignalData
from runtime.market import Timeframe
from runtime.ports import Bus, Store
from runtime.signals import EXTERNAL
from runtime.strategy import strategy_key

SAME_WITHIN = timedelta(seconds=60)
"""Equal signals without an id of their own, closer together than this, are one."""
INBOUND_KEPT = 100_000


class PublishedSignals:
    """What makes a signal one and the same is a unique key in `signals`; a reader who lost the answer may send it again."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self._bus, self._store = bus, store

    async def publish(self, data: SignalData, *, command_id: str, arrived_at: datetime) -> dict[str, Any]:
        """Keep the signal and send it on. Returns what to answer: its id, its strategy key, and whether it was known already."""
        key = strategy_key(EXTERNAL, {"source": data.strategy_id}, data.symbol, Timeframe.M1)
        signal_id, is_known = await self._kept(data, key, command_id, arrived_at)
        if not is_known:
            message = InboundSignal(
                signal_id=signal_id,
                strategy_key=key,
                source=data.strategy_id,
                symbol=data.symbol,
                side=data.signal,
                price=_number(data.price),
                stop=_number(data.stop),
                target=_number(data.target),
                timestamp=data.timestamp,
            )
            await self._bus.append(channels.INBOUND_SIGNALS, encode(message), max_length=INBOUND_KEPT)
        return {"signal_id": signal_id, "strategy_key": key, "duplicate": is_known}

    async def _kept(self, data: SignalData, key: str, command_id: str, arrived_at: datetime) -> tuple[str, bool]:
        """(id, whether another command brought it before). The same command again, after a crash of ours, is no duplicate."""
        kept = {"strategy_key": key, "strategy": EXTERNAL, "side": data.signal, "command_id": command_id, "received_at": arrived_at}
        if data.signal_id is not None:
            signal_id = f"{EXTERNAL}:{_digest((data.strategy_id, data.symbol, data.signal, data.signal_id))}"
            return signal_id, not await self._is_first(signal_id, kept)
        content = _digest(data.model_dump(mode="json", exclude_none=True).items())
        # Two that are accepted lie a whole window apart, so a window holds one of them at most and its key decides;
        # one just before the window's edge is found in the window before.
        window = int(arrived_at.astimezone(UTC).timestamp() // SAME_WITHIN.total_seconds())
        before = await self._store.get("signals", f"{EXTERNAL}:{content}:{window - 1}")
        if before is not None and arrived_at - before["received_at"] < SAME_WITHIN:
            return str(before["_id"]), True
        signal_id = f"{EXTERNAL}:{content}:{window}"
        return signal_id, not await self._is_first(signal_id, kept)

    async def _is_first(self, signal_id: str, kept: dict[str, Any]) -> bool:
        if await self._store.insert_once("signals", signal_id, kept):
            return True
        earlier = await self._store.get("signals", signal_id)
        return earlier is not None and earlier.get("command_id") == kept["command_id"]


def _digest(parts: Iterable[object]) -> str:
    return hashlib.blake2s(msgspec.json.encode([str(part) for part in parts]), digest_size=12).hexdigest()


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
