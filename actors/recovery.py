"""Traders brought to life as new incarnations, many at a time: what a process before left in snapshot and journal, reconciled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from loguru import logger

from actors.kill_switch import KillSwitch
from actors.outbox import Outbox
from actors.trading_floor import Answer, Input, TradingFloor
from actors.user_trader import UserTrader, fold
from runtime.events import JournalRecord, SessionRecovered
from runtime.ports import Journal, Store

TRADERS_AT_ONCE = 500


class Recovery:
    """Restores traders on `floor`; servers are asked once for hundreds of them."""

    def __init__(self, *, floor: TradingFloor, outbox: Outbox, journal: Journal, store: Store, kill_switch: KillSwitch) -> None:
        self._floor, self._outbox, self._journal, self._store, self._kill_switch = floor, outbox, journal, store, kill_switch

    async def load(self, user_ids: Sequence[str], now: datetime) -> None:
        """Take the next epoch of each user, fold its state, and let it converge before it hears of anything new.

        A user whose journal cannot be replayed is left out and marked FAILED: no reason to fail the neighbours.
        """
        for start in range(0, len(user_ids), TRADERS_AT_ONCE):
            await self._load_some(user_ids[start : start + TRADERS_AT_ONCE], now)
            logger.info("{} of {} users restored", min(start + TRADERS_AT_ONCE, len(user_ids)), len(user_ids))

    async def _load_some(self, user_ids: Sequence[str], now: datetime) -> None:
        epochs = await self._store.increment_many("sessions", user_ids, "epoch")
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
        await self._floor.run(list(self._kill_switch_news(active, now)))
        await self._floor.run(list(self._found_again(active, now)))

    async def _restore(
        self, user_id: str, epoch: int, snapshot: tuple[int, bytes] | None, records: list[JournalRecord]
    ) -> UserTrader | None:
        try:
            state, number, _ = fold(user_id, snapshot, records)
        except Exception as error:  # noqa: BLE001 - a poisoned journal must not take the host down
            logger.opt(exception=True).error("user {} cannot be recovered: {}", user_id, error)
            await self._store.upsert("sessions", {user_id: {"status": "FAILED", "reason": f"{type(error).__name__} on recovery"}})
            return None
        state.epoch = epoch
        return UserTrader(user_id, state=state, number=number, epoch=epoch)

    def _kill_switch_news(self, traders: Sequence[UserTrader], now: datetime) -> Iterator[Input]:
        for trader in traders:
            for news in self._kill_switch.news_for(trader.state, now):
                yield trader.user_id, news

    def _found_again(self, traders: Sequence[UserTrader], now: datetime) -> Iterator[Answer]:
        for trader in traders:
            if trader.user_id in self._floor.traders:  # not fenced meanwhile
                yield from self._floor.find_again(trader, now)
