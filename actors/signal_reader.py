"""A host's place in the stream of signals, and what each signal means to its traders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from actors.recent import Recent
from actors.streams import is_after, unless_redis_is_away
from actors.trading_floor import TradingFloor
from actors.turned import Stopwatch
from actors.turns import Turns
from actors.wire import decode_signal, encode
from runtime import channels
from runtime.events import SignalArrived
from runtime.ports import Bus
from runtime.rollouts import Rollout, addressed


class SignalReader:
    """`recent` is told of every signal; `rollouts`, by the baseline's key, say whose signals followers hear."""

    def __init__(self, host_id: str, *, bus: Bus, floor: TradingFloor, recent: Recent, rollouts: Mapping[str, Rollout]) -> None:
        self._bus, self._floor, self._recent, self._rollouts = bus, floor, recent, rollouts
        self._turns = Turns(host_id)
        self._key = channels.signals_cursor(host_id)
        self._cursor = self._newest = "0"

    async def find_place(self) -> None:
        """Where the process before us stopped, or the newest signal where there was none."""
        self._newest = await self._bus.last_id(channels.SIGNALS)
        self._cursor = (await self._bus.get_key(self._key) or self._newest.encode()).decode()

    async def keep_place(self) -> None:
        """Once the traders are here: what was said before concerns idle ones no more."""
        if all(trader.state.is_idle for trader in self._floor.traders.values()):
            self._cursor = self._newest
        await self._bus.set_key(self._key, self._cursor.encode())

    async def pull(self, upto: str, now: datetime | None) -> bool:
        """Take in the signals up to this entry; whether there were any."""
        found = False
        while upto not in {"0", self._cursor} and is_after(upto, self._cursor):
            entries = await self._bus.read(channels.SIGNALS, self._cursor)
            if not entries:
                break
            for entry_id, payload in entries:
                await self._take(payload, now)
                self._cursor, found = entry_id, True
                await unless_redis_is_away(self._bus.set_key(self._key, entry_id.encode()))
        return found

    async def _take(self, payload: bytes, now: datetime | None) -> None:
        message = decode_signal(payload)
        signal = message.signal
        self._recent.add_signal(signal)
        quote = self._floor.desk.quotes.get(signal.instrument.id)
        last_price = None if quote is None else quote.price
        stopwatch = Stopwatch(candle_closed_at_ns=message.closed_at_ns)
        for heard, users in addressed(signal, self._floor.subscribers, self._rollouts):
            event = SignalArrived(ts=max(now or signal.ts, signal.ts), signal=heard, last_price=last_price)
            waiting = [user_id for user_id in users if not self._floor.traders[user_id].engine.has_seen(heard)]
            inputs = [(user_id, event) for user_id in self._turns.order(waiting, signal.signal_id)]
            await self._floor.run(inputs, stopwatch, encoded=encode(event).decode())
