"""Canary roll-outs as the supervisor keeps them: started, watched, promoted, aborted, or rolled back on a stated condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from loguru import logger

from actors.rollouts import IN_FORCE, ROLLOUTS
from actors.strategy_failures import STRATEGIES
from actors.supervisor.dispatch import Dispatcher
from actors.supervisor.sessions import Sessions
from actors.wire import ForUser, SetRollouts, decode_prices, encode
from runtime import channels
from runtime.commands import CanaryData, RollbackData
from runtime.events import Announce, EventType
from runtime.ports import Bus, Clock, Store
from runtime.reconcile import Decision
from runtime.rollouts import Rollout, RolloutState
from runtime.signal_engine import StrategySpec


class Group(msgspec.Struct):
    """How the followers of one side have done since the roll-out began. `realised` in account currency, before fees."""

    users: int = 0
    trades: int = 0
    realised: Decimal = Decimal(0)
    signals: int = 0
    skipped: int = 0
    orders: int = 0
    rejected: int = 0

    @property
    def realised_per_user(self) -> Decimal:
        return self.realised / self.users if self.users else Decimal(0)

    def facts(self) -> dict[str, object]:
        return {
            "users": self.users,
            "trades": self.trades,
            "realised_per_user": str(round(self.realised_per_user, 2)),
            "signals": self.signals,
            "skipped": self.skipped,
            "orders": self.orders,
            "rejected": self.rejected,
        }


class RollbackRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whichever holds first ends the roll-out; None is not looked at. A candidate that fails ends it always."""

    pnl_worse_by: Decimal | None = None
    min_trades: int = 20
    skip_rate: float | None = None
    reject_rate: float | None = None
    min_signals: int = 20

    def broken_by(self, candidate: Group, baseline: Group) -> str | None:
        """What went wrong, for people; None when all is as it should be."""
        worse = baseline.realised_per_user - candidate.realised_per_user
        if self.pnl_worse_by is not None and candidate.trades >= self.min_trades and worse > self.pnl_worse_by:
            return f"realised {worse:.2f} per user less than the baseline after {candidate.trades} trades, at most {self.pnl_worse_by}"
        if candidate.signals < self.min_signals:
            return None
        skip_rate, reject_rate = candidate.skipped / candidate.signals, candidate.rejected / max(candidate.orders, 1)
        if self.skip_rate is not None and skip_rate > self.skip_rate:
            return f"{skip_rate:.0%} of {candidate.signals} signals skipped, at most {self.skip_rate:.0%}"
        if self.reject_rate is not None and reject_rate > self.reject_rate:
            return f"{reject_rate:.0%} of {candidate.orders} orders rejected, at most {self.reject_rate:.0%}"
        return None


class Kept(msgspec.Struct, kw_only=True):
    """A roll-out's document, by its baseline's key."""

    baseline: str
    candidate: StrategySpec
    share: float
    rollback_if: RollbackRule
    state: RolloutState
    reason: str = ""

    @property
    def route(self) -> Rollout:
        share = 1.0 if self.state is RolloutState.PROMOTED else self.share
        return Rollout(baseline=self.baseline, candidate=self.candidate.key, share=share)


class Rollouts:
    """One roll-out per baseline at a time. Routing is all there is to it: no session's configuration changes."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, sessions: Sessions, dispatcher: Dispatcher, *, voice: str) -> None:
        self._bus, self._store, self._clock = bus, store, clock
        self._sessions, self._dispatcher, self._voice = sessions, dispatcher, voice
        self._kept: dict[str, Kept] = {}

    async def restore(self) -> None:
        for document in await self._store.find(ROLLOUTS, {"state": {"$in": sorted(IN_FORCE)}}):
            self._kept[str(document["_id"])] = msgspec.json.decode(document["rollout"], type=Kept)
        self._sessions.candidates = [kept.candidate for kept in self._kept.values()]

    def in_force(self, baseline: str) -> Kept | None:
        return self._kept.get(baseline)

    async def start(self, data: CanaryData, candidate: StrategySpec) -> dict[str, object]:
        rule = _rule(data.rollback_if)
        kept = Kept(baseline=data.strategy, candidate=candidate, share=float(data.share), rollback_if=rule, state=RolloutState.RUNNING)
        times = {"started_at": self._clock.now(), "venue_started_at": await self._venue_time(), "ended_at": None}
        await self._store.upsert(ROLLOUTS, {kept.baseline: times})
        await self._store.delete(STRATEGIES, candidate.key)  # an earlier failure is not this one's
        self._kept[kept.baseline] = kept
        await self._change(kept, RolloutState.RUNNING, "started")
        return self._facts(kept)

    async def end(self, baseline: str, state: RolloutState, reason: str) -> dict[str, object]:
        kept = self._kept[baseline]
        await self._change(kept, state, reason)
        return self._facts(kept)

    async def look_again(self) -> None:
        """Roll back what has broken its rule."""
        for kept in [kept for kept in self._kept.values() if kept.state is RolloutState.RUNNING]:
            failed = await self._store.get(STRATEGIES, kept.candidate.key)
            reason = f"the candidate failed: {failed['error']}" if failed is not None else None
            if reason is None:
                candidate, baseline = await self.figures(kept)
                await self._store.upsert(
                    ROLLOUTS, {kept.baseline: {"groups": {"candidate": candidate.facts(), "baseline": baseline.facts()}}}
                )
                reason = kept.rollback_if.broken_by(candidate, baseline)
            if reason is not None:
                await self._change(kept, RolloutState.ROLLED_BACK, reason)

    async def figures(self, kept: Kept) -> tuple[Group, Group]:
        """(candidate's followers, baseline's followers), since the start."""
        document = await self._store.get(ROLLOUTS, kept.baseline) or {}
        takes = {user_id: kept.route.takes(user_id) for user_id in self._sessions.followers(kept.baseline)}
        count = Counter(takes.values())
        groups = {True: Group(users=count[True]), False: Group(users=count[False])}
        since = {"ts": {"$gte": document["venue_started_at"]}}

        async def found(collection: str, where: dict[str, Any]) -> list[tuple[Group, dict[str, Any]]]:
            documents = await self._store.find(collection, where | since)
            return [(groups[takes[str(each["user_id"])]], each) for each in documents if str(each["user_id"]) in takes]

        for group, position in await found("positions", {"slot": kept.baseline, "status": "CLOSED"}):
            group.trades += 1
            group.realised += Decimal(str(position.get("realised_pnl", 0)))
        for group, decision in await found("execution_logs", {"strategy_key": kept.baseline}):
            group.signals += 1
            group.skipped += decision.get("decision") == Decision.SKIP
        for group, order in await found("orders", {"slot": kept.baseline, "leg": "ENTRY"}):
            group.orders += 1
            group.rejected += order.get("status") == "REJECTED"
        return groups[True], groups[False]

    async def _change(self, kept: Kept, state: RolloutState, reason: str) -> None:
        kept.state, kept.reason = state, reason
        now = self._clock.now()
        ended: dict[str, Any] = {} if state is RolloutState.RUNNING else {"ended_at": now}
        document = {
            "state": state,
            "reason": reason,
            "candidate": kept.candidate.key,
            "rollout": encode(kept).decode(),
            "route": encode(kept.route).decode(),
        }
        await self._store.upsert(ROLLOUTS, {kept.baseline: document | ended})
        if state not in IN_FORCE:
            del self._kept[kept.baseline]
        self._sessions.candidates = [each.candidate for each in self._kept.values()]
        await self._sessions.want_strategies()
        await self.tell(self._sessions.hosts())
        logger.info("roll-out on {}: {}, {}", kept.baseline, state, reason)
        event = Announce(ts=now, event_type=EventType.ROLLOUT_CHANGED, data=self._facts(kept) | {"reason": reason})
        await self._dispatcher.send(self._sessions.host_of(self._voice), ForUser(user_id=self._voice, input=event))

    async def _venue_time(self) -> datetime:
        """What the books of a replay are dated by."""
        latest = await self._bus.get_key(channels.PRICES_LATEST)
        return self._clock.now() if latest is None else decode_prices(latest).ts

    async def tell(self, hosts: Iterable[str]) -> None:
        message = SetRollouts(rollouts=tuple(kept.route for kept in self._kept.values()))
        for host_id in hosts:
            await self._dispatcher.send(host_id, message)

    def _facts(self, kept: Kept) -> dict[str, object]:
        return {"baseline": kept.baseline, "candidate": kept.candidate.key, "share": kept.route.share, "state": str(kept.state)}


def _rule(data: RollbackData) -> RollbackRule:
    return RollbackRule(
        pnl_worse_by=data.pnl_worse_by,
        min_trades=data.min_trades,
        skip_rate=data.skip_rate,
        reject_rate=data.reject_rate,
        min_signals=data.min_signals,
    )
