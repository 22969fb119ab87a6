"""The desired state: who should run, with which configuration, on which host, and what strategies that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from actors.pace import GONE, report
from actors.placement import Placement, PlacementKind, Placer, packed_host, place
from actors.wire import SetStrategies, encode
from runtime import channels
from runtime.ports import Bus, Store
from runtime.session import SessionConfig
from runtime.signal_engine import StrategySpec
from runtime.signals import EXTERNAL

HOSTS = "hosts"
"""Document of the collection `platform` that says which hosts are closed."""

_decode_config = msgspec.json.Decoder(SessionConfig).decode


class Sessions:
    """Kept in the collection `sessions`, so that a successor finds it; what is counted here costs no walk over all users."""

    def __init__(self, bus: Bus, store: Store, placer: Placer, *, packed_hosts: int, dedicated_max: int) -> None:
        self._bus, self._store, self._placer = bus, store, placer
        self.packed = [packed_host(index) for index in range(packed_hosts)]
        self._dedicated_max = dedicated_max
        self._placements: dict[str, Placement] = {}
        self._configs: dict[str, SessionConfig] = {}
        self.closed: set[str] = set()
        """Hosts that take nobody in: they are drained."""
        self._load: Counter[str] = Counter()
        """host -> users."""
        self._subscribed: Counter[str] = Counter()
        """strategy key -> subscriptions."""
        self._specs: dict[str, StrategySpec] = {}
        self.candidates: Iterable[StrategySpec] = ()
        """What roll-outs need besides."""
        self._sent: tuple[StrategySpec, ...] | None = None

    # --- start ---

    async def restore(self) -> None:
        for host_id in self.packed:
            await self._placer.ensure(Placement(host_id, PlacementKind.PACKED))
        hosts = await self._store.get("platform", HOSTS) or {}
        self.closed = set(hosts.get("closed", ())) & set(self.packed)
        for session in await self._store.find("sessions", {"active": True}):
            self._adopt(session)
        for placement in sorted(set(self._placements.values()), key=lambda placement: placement.host_id):
            await self._placer.ensure(placement)
        self._sent = None
        await self.want_strategies()

    def _adopt(self, session: dict[str, Any]) -> None:
        if "config" not in session:
            return
        user_id = str(session["_id"])
        self._put(user_id, Placement(str(session["host"]), PlacementKind(session["placement"])), _decode_config(str(session["config"])))

    # --- changes ---

    def config(self, user_id: str) -> SessionConfig | None:
        return self._configs.get(user_id)

    async def configure(self, user_id: str, config: SessionConfig) -> None:
        """Configuration kept, strategies wanted, trader placed: all before the trader hears of it."""
        placement = self._placements.get(user_id) or self._place(user_id, config)
        session = {"active": True, "host": placement.host_id, "placement": placement.kind, "config": encode(config).decode()}
        await self._store.upsert("sessions", {user_id: session})
        self._put(user_id, placement, config)
        await self.want_strategies()
        if placement.host_id not in self.packed:  # those run since `restore`: ten thousand starts need not ask for each
            await self._placer.ensure(placement)

    async def release_stopped(self, busy: Iterable[str]) -> None:
        """Forget sessions whose traders are idle, and end the processes that were theirs alone."""
        active = {str(session["_id"]) for session in await self._store.find("sessions", {"active": True})}
        stopped = [user_id for user_id in self._placements if user_id not in active and user_id not in set(busy)]
        for user_id in stopped:
            placement = self._placements[user_id]
            self._drop(user_id)
            if placement.kind is PlacementKind.DEDICATED:
                await self.end_host(placement.host_id)
        if stopped:
            await self.want_strategies()

    async def move(self, user_id: str, placement: Placement) -> None:
        """From now on he is to live there. Idempotent."""
        config = self._configs.get(user_id)
        if config is None:
            return
        await self._store.upsert("sessions", {user_id: {"host": placement.host_id, "placement": placement.kind}})
        self._put(user_id, placement, config)
        await self._placer.ensure(placement)

    async def close_host(self, host_id: str) -> None:
        await self._keep_closed(self.closed | {host_id})

    async def open_host(self, host_id: str) -> None:
        await self._keep_closed(self.closed - {host_id})

    async def _keep_closed(self, closed: set[str]) -> None:
        self.closed = closed & set(self.packed)
        await self._store.upsert("platform", {HOSTS: {"closed": sorted(self.closed)}})

    async def end_if_left(self, host_id: str) -> None:
        """A process that was one user's own ends with his leaving."""
        if host_id not in self.packed and not self._load[host_id]:
            await self.end_host(host_id)

    async def end_host(self, host_id: str) -> None:
        await self._placer.remove(host_id)
        await report(self._bus, host_id, GONE)

    async def want_strategies(self) -> None:
        """Tell the market data which strategies somebody follows; signals from outside come without one."""
        specs = self._specs | {spec.key: spec for spec in self.candidates}
        wanted = tuple(specs[key] for key in sorted(specs) if specs[key].strategy != EXTERNAL)
        if wanted != self._sent:
            await self._bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=wanted)), max_length=1_000)
            self._sent = wanted

    # --- lookups ---

    def host_of(self, user_id: str) -> str:
        """A user without a session is served by a packed host, always the same one."""
        placement = self._placements.get(user_id)
        if placement is not None:
            return placement.host_id
        return self._open_hosts[sum(user_id.encode()) % len(self._open_hosts)]

    def is_running(self, user_id: str) -> bool:
        return user_id in self._placements

    def users_of(self, host_id: str) -> list[str]:
        return sorted(user_id for user_id, placement in self._placements.items() if placement.host_id == host_id)

    def place_anew(self, user_id: str) -> Placement:
        """The emptiest packed host that is open and is not his own."""
        own = self.host_of(user_id)
        load = {host_id: self._load[host_id] for host_id in self._open_hosts if host_id != own}
        return place(user_id, asked=PlacementKind.PACKED, dedicated_now=0, dedicated_max=0, packed_load=load)

    @property
    def _open_hosts(self) -> list[str]:
        return [host_id for host_id in self.packed if host_id not in self.closed]

    def hosts(self) -> list[str]:
        return sorted({*self.packed, *(host_id for host_id, users in self._load.items() if users)})

    def spec(self, key: str) -> StrategySpec | None:
        """The strategy of this key, if somebody follows it."""
        return self._specs.get(key)

    def followers(self, key: str) -> list[str]:
        return [user_id for user_id, config in self._configs.items() if any(each.key == key for each in config.subscriptions)]

    def subscribers(self, key: str) -> int:
        """How many sessions follow this strategy."""
        return self._subscribed[key]

    # --- bookkeeping ---

    def _place(self, user_id: str, config: SessionConfig) -> Placement:
        dedicated = sum(self._load[host_id] > 0 for host_id in self._load if host_id not in self.packed)
        return place(
            user_id,
            asked=config.placement,
            dedicated_now=dedicated,
            dedicated_max=self._dedicated_max,
            packed_load={host_id: self._load[host_id] for host_id in self._open_hosts},
            served_by=self.host_of(user_id),
        )

    def _put(self, user_id: str, placement: Placement, config: SessionConfig) -> None:
        self._drop(user_id)
        self._placements[user_id], self._configs[user_id] = placement, config
        self._load[placement.host_id] += 1
        for subscription in config.subscriptions:
            key = subscription.key
            self._subscribed[key] += 1
            self._specs[key] = StrategySpec(
                strategy=subscription.strategy,
                parameters=subscription.parameters,
                instrument=subscription.instrument,
                timeframe=subscription.timeframe,
            )

    def _drop(self, user_id: str) -> None:
        placement, config = self._placements.pop(user_id, None), self._configs.pop(user_id, None)
        if placement is None or config is None:
            return
        self._load[placement.host_id] -= 1
        for subscription in config.subscriptions:
            key = subscription.key
            self._subscribed[key] -= 1
            if self._subscribed[key] == 0:
                del self._subscribed[key], self._specs[key]
