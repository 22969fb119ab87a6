"""Traders brought to life as new incarnations, many at a time: what a process before left in snapshot and journal, reconciled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from loguru import logger

from actors.kill_switch import KillSwitch
from actors.outbox import Outbox
from actors.recent import Recent
from actors.streams import unless_redis_is_away
from actors.trading_floor import TradingFloor
from actors.turned import Answer, Input
from actors.user_trader import UserTrader, fold
from runtime import channels
from runtime.events import JournalRecord, SessionRecovered, SignalArrived
from runtime.market import Prices
from runtime.ports import Bus, Journal, Store
from runtime.rollouts import Rollout, addressed

TRADERS_AT_ONCE = 500
CONTESTS_MAX = 20
"""A predecessor that writes faster than its journal can be read twenty times over is no predecessor but a fault."""


class Recovery:
    """Restores traders on `floor`; servers are asked once for hundreds of them."""

    def __init__(
        self,
        *,
        floor: TradingFloor,
        outbox: Outbox,
        bus: Bus,
        journal: Journal,
        store: Store,
        kill_switch: KillSwitch,
        recent: Recent,
        rollouts: Mapping[str, Rollout],
    ) -> None:
        self._floor, self._outbox, self._bus, self._journal, self._store = floor, outbox, bus, journal, store
        self._kill_switch, self._recent, self._rollouts = kill_switch, recent, rollouts

    async def load(self, user_ids: Sequence[str], now: datetime) -> None:
        """Take the next epoch of each user, fold its state, and let it converge before it hears of anything new.

        A user whose journal cannot be replayed is left out and marked FAILED: no reason to fail the neighbours.
        """
        for start in range(0, len(user_ids), TRADERS_AT_ONCE):
            some = user_ids[start : start + TRADERS_AT_ONCE]
            epochs = await self._store.increment_many("sessions", some, "epoch")
            contested = await self._load_some(epochs, now)
            for _ in range(CONTESTS_MAX):
                if not contested:
                    break
                contested = await self._load_some(contested, now)
            logger.info("{} of {} users restored", min(start + TRADERS_AT_ONCE, len(user_ids)), len(user_ids))

    async def _load_some(self, epochs: Mapping[str, int], now: datetime) -> dict[str, int]:
        """Returns the users whose predecessor wrote to the journal just before us: it still had them, which is as it should be.
        What it wrote must be read before the next try.
        """
        user_ids = list(epochs)
        snapshots = await self._journal.load_snapshots(user_ids)
        records = await self._journal.read_many({user_id: snapshots[user_id][0] if user_id in snapshots else 0 for user_id in user_ids})
        await self._outbox.resume(records)
        restored: list[UserTrader] = []
        for user_id in user_ids:
            trader = await self._restore(user_id, epochs[user_id], snapshots.get(user_id), records[user_id])
            if trader is not None:
                self._floor.admit(trader)
                restored.append(trader)
        active = [trader for trader in restored if not trader.state.is_idle]
        await self._floor.run([(trader.user_id, SessionRecovered(ts=now, epoch=trader.epoch)) for trader in active])
        contested = {trader.user_id: trader.epoch for trader in active if trader in self._floor.fenced}
        self._floor.fenced[:] = [trader for trader in self._floor.fenced if trader not in active]
        ours = [trader for trader in active if trader.user_id not in contested]
        epochs_now = {trader.user_id: str(trader.epoch).encode() for trader in restored if trader.user_id not in contested}
        await unless_redis_is_away(self._bus.set_fields(channels.EPOCHS, epochs_now))
        await self._floor.run(list(self._kill_switch_news(ours, now)))
        missed = {
            trader.user_id: self._recent.prices_since(records[trader.user_id][-1].ts if records[trader.user_id] else None)
            for trader in ours
        }
        await self._floor.run(list(self._found_again(ours, now, missed)))
        for trader in ours:
            await self._floor.show(trader.user_id, missed[trader.user_id], now)
        await self._floor.run(list(self._unheard(ours, now)))
        return contested

    async def _restore(
        self, user_id: str, epoch: int, snapshot: tuple[int, bytes] | None, records: list[JournalRecord]
    ) -> UserTrader | None:
        try:
            state, number, _ = fold(user_id, snapshot, records)
        except Exception as error:  # noqa: BLE001 - a poisoned journal must not take the host down
            logger.opt(exception=True).error("user {} cannot be recovered: {}", user_id, error)
            await self._store.upsert("sessions", {user_id: {"status": "FAILED", "reason": f"{type(error).__name__} on recovery"}})
            return None
        if state.epoch > epoch:
            logger.warning("user {} is another incarnation's, of epoch {}: not taken at epoch {}", user_id, state.epoch, epoch)
            return None
        state.epoch = epoch
        return UserTrader(user_id, state=state, number=number, epoch=epoch)

    def _kill_switch_news(self, traders: Sequence[UserTrader], now: datetime) -> Iterator[Input]:
        for trader in traders:
            for news in self._kill_switch.news_for(trader.state, now):
                yield trader.user_id, news

    def _found_again(self, traders: Sequence[UserTrader], now: datetime, missed: Mapping[str, Sequence[Prices]]) -> Iterator[Answer]:
        for trader in traders:
            if trader.user_id in self._floor.traders:  # not fenced meanwhile
                yield from self._floor.find_again(trader, now, missed[trader.user_id])

    def _unheard(self, traders: Sequence[UserTrader], now: datetime) -> Iterator[Input]:
        """Signals that this host has passed on while the trader was on his way here."""
        arrived = {trader.user_id: trader for trader in traders}
        for signal in self._recent.signals():
            for heard, users in addressed(signal, self._floor.subscribers, self._rollouts):
                for user_id in users:
                    if user_id in arrived and not arrived[user_id].engine.has_seen(heard):
                        yield user_id, SignalArrived(ts=max(now, signal.ts), signal=heard)
