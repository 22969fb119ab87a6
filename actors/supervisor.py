"""Takes commands in by both doors, keeps the desired state, places traders on hosts and keeps the hosts running.

Losing this process loses nothing: commands are acknowledged only when their effect is in the user's journal, and what
should run is in the `sessions` collection.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
from loguru import logger

from actors.pace import GONE, report
from actors.placement import Placement, PlacementKind, Placer, packed_host, place
from actors.routing import to_input
from actors.wire import ForAll, ForUser, HostMessage, SetStrategies, encode
from runtime import channels
from runtime.commands import (
    Catalogue,
    Command,
    HaltAll,
    InvalidCommand,
    ResumeAll,
    StartTrading,
    UpdateConfig,
    parse_command,
    session_config,
)
from runtime.errors import ServerUnavailable
from runtime.events import AcceptCommand, EngineInput, HaltTrading, RejectCommand, RepeatCommand, ResumeTrading
from runtime.ports import Bus, Clock, Store, Subscription, Vault
from runtime.session import SessionConfig
from runtime.signal_engine import StrategySpec

PLATFORM = "_platform"
"""The user id under which answers that belong to no user are published."""
RECONCILE_SECONDS = 2.0
RELEASE_SECONDS = 30.0
REROUTE_SECONDS = 5.0
INBOX_LENGTH = 100_000
_decode_config = msgspec.json.Decoder(SessionConfig).decode


class _Pending(msgspec.Struct):
    """A routed command whose effect is not known to be durable yet."""

    routed_at: float
    host_id: str
    message: HostMessage
    entries: list[str]


class Supervisor:
    def __init__(
        self,
        *,
        bus: Bus,
        store: Store,
        clock: Clock,
        placer: Placer,
        catalogue: Catalogue,
        vault: Vault,
        packed_hosts: int,
        dedicated_max: int,
    ) -> None:
        self.ready = asyncio.Event()
        self._bus, self._store, self._clock, self._placer = bus, store, clock, placer
        self._catalogue, self._vault = catalogue, vault
        self._packed = [packed_host(index) for index in range(packed_hosts)]
        self._dedicated_max = dedicated_max
        self._placements: dict[str, Placement] = {}
        self._configs: dict[str, SessionConfig] = {}
        self._pending: dict[str, _Pending] = {}
        self._specs: tuple[StrategySpec, ...] = ()
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        await self._bus.create_group(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP)
        async with (
            self._bus.subscribe(channels.COMMANDS) as commands,
            self._bus.subscribe(channels.ACKNOWLEDGED) as acknowledged,
            asyncio.TaskGroup() as tasks,
        ):
            await self._restore()
            tasks.create_task(self._read_channel(commands))
            tasks.create_task(self._read_stream())
            tasks.create_task(self._read_acknowledged(acknowledged))
            tasks.create_task(self._keep_reconciling())
            self.ready.set()

    # --- the two doors ---

    async def _read_channel(self, subscription: Subscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    await self._receive(payload, entry_id=None)
            except ServerUnavailable as error:
                logger.warning("the command channel waits for Redis: {}", error)

    async def _read_stream(self) -> None:
        stream, group = channels.COMMANDS_STREAM, channels.COMMANDS_GROUP
        while True:
            try:
                entries = await self._bus.read_group(stream, group, "supervisor", block_seconds=5.0)
            except ServerUnavailable as error:
                logger.warning("the command stream waits for Redis: {}", error)
                continue
            for entry_id, payload in entries:
                await self._receive(payload, entry_id=entry_id)

    async def _receive(self, payload: bytes, *, entry_id: str | None) -> None:
        """One message, one answer. An outage of a server is waited out: the message is not lost and not taken twice."""
        now = self._clock.now() if entry_id is None else datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
        fallback_id = f"message-{entry_id or secrets.token_hex(8)}"
        while True:
            try:
                async with self._turn:
                    try:
                        command = parse_command(payload, now)
                        await self._admit(command, entry_id)
                    except InvalidCommand as error:
                        await self._reject(error, error.command_id or fallback_id, entry_id)
            except ServerUnavailable as error:
                logger.warning("a command waits for a server: {}", error)
                await self._clock.sleep(1.0)
            else:
                return

    async def _admit(self, command: Command, entry_id: str | None) -> None:
        user_id = command.user_id or PLATFORM
        if await self._was_answered(command.command_id, user_id, command.action, entry_id):
            return
        now = self._clock.now()
        match command:
            case HaltAll():
                await self._halt(
                    HaltTrading(ts=now, command_id=command.command_id, reason=command.data.reason, positions=command.data.positions)
                )
                event: EngineInput = AcceptCommand(
                    ts=now, command_id=command.command_id, action=command.action, detail={"hosts": len(self._hosts())}
                )
                await self._route(PLATFORM, event, command.command_id, entry_id)
            case ResumeAll():
                await self._resume(ResumeTrading(ts=now, command_id=command.command_id))
                event = AcceptCommand(ts=now, command_id=command.command_id, action=command.action, detail={"hosts": len(self._hosts())})
                await self._route(PLATFORM, event, command.command_id, entry_id)
            case StartTrading() | UpdateConfig():
                config = await self._configure(command, user_id)
                await self._route(user_id, to_input(command, config, now), command.command_id, entry_id)
            case _:
                await self._route(user_id, to_input(command, None, now), command.command_id, entry_id)

    async def _reject(self, error: InvalidCommand, command_id: str, entry_id: str | None) -> None:
        user_id = error.user_id or PLATFORM
        pending = self._pending.get(command_id)
        if pending is None and error.command_id and await self._was_answered(command_id, user_id, error.action, entry_id):
            return
        event = RejectCommand(
            ts=self._clock.now(),
            command_id=command_id,
            action=error.action,
            field=error.field,
            reason=str(error.reason),
            detail=error.detail,
        )
        await self._route(user_id, event, command_id, entry_id)

    async def _was_answered(self, command_id: str, user_id: str, action: str, entry_id: str | None) -> bool:
        """The command id's unique key decides. A repeat hears the first outcome; one still under way is merely routed again."""
        document = {"user_id": user_id, "action": action, "received_at": self._clock.now()}
        if await self._store.insert_once("commands", command_id, document):
            return False
        earlier = await self._store.get("commands", command_id)
        if earlier is None or "outcome" not in earlier:
            return False
        if entry_id is not None and earlier.get("entry_id") == entry_id:  # our own redelivery, not the sender's repeat
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, entry_id)
            return True
        event = RepeatCommand(
            ts=self._clock.now(), command_id=command_id, accepted=bool(earlier["accepted"]), outcome=dict(earlier["outcome"])
        )
        await self._send(self._host_of(str(earlier["user_id"])), ForUser(user_id=str(earlier["user_id"]), input=event))
        if entry_id is not None:
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, entry_id)
        return True

    # --- effects ---

    async def _configure(self, command: StartTrading | UpdateConfig, user_id: str) -> SessionConfig:
        """The session's new configuration, its strategies wanted, its trader placed: all before the trader hears of it."""
        token, current = command.data.access_token, self._configs.get(user_id)
        config = session_config(command, current, self._catalogue, credentials=None if token is None else "in the vault soon")
        if token is not None:
            reference = await self._vault.put(user_id, config.broker, token.get_secret_value())
            config = session_config(command, current, self._catalogue, credentials=reference)
        placement = self._placements.get(user_id)
        if placement is None:
            placement = place(
                user_id,
                asked=config.placement,
                dedicated_now=sum(p.kind is PlacementKind.DEDICATED for p in self._placements.values()),
                dedicated_max=self._dedicated_max,
                packed_load=self._packed_load(),
            )
        session = {"active": True, "host": placement.host_id, "placement": placement.kind, "config": encode(config).decode()}
        await self._store.upsert("sessions", {user_id: session})
        self._placements[user_id], self._configs[user_id] = placement, config
        await self._want_strategies()
        await self._placer.ensure(placement)
        return config

    async def _route(self, user_id: str, event: EngineInput, command_id: str, entry_id: str | None) -> None:
        """A repeat of what is under way sends that again, and waits for its answer with it."""
        pending = self._pending.get(command_id)
        if pending is None:
            message = ForUser(user_id=user_id, input=event)
            pending = self._pending[command_id] = _Pending(self._loop_time(), self._host_of(user_id), message, [])
        if entry_id is not None:
            pending.entries.append(entry_id)  # before anything is awaited: the answer may come at any moment and ends them all
            await self._store.upsert("commands", {command_id: {"entry_id": entry_id}})
        await self._send(pending.host_id, pending.message)

    async def _send(self, host_id: str, message: HostMessage) -> None:
        await self._bus.append(channels.host_inbox(host_id), encode(message), max_length=INBOX_LENGTH)

    async def _halt(self, event: HaltTrading) -> None:
        halt = {"active": True, "reason": event.reason, "command_id": event.command_id, "positions": event.positions}
        await self._store.upsert("platform", {"halt": halt})
        await self._send_all(ForAll(input=event))

    async def _resume(self, event: ResumeTrading) -> None:
        await self._store.upsert("platform", {"halt": {"active": False}})
        await self._send_all(ForAll(input=event))

    async def _send_all(self, message: HostMessage) -> None:
        for host_id in self._hosts():
            await self._send(host_id, message)

    async def _read_acknowledged(self, subscription: Subscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    await self._acknowledge(payload.decode())
            except ServerUnavailable as error:
                logger.warning("acknowledgements wait for Redis: {}", error)

    async def _acknowledge(self, command_id: str) -> None:
        pending = self._pending.pop(command_id, None)
        if pending is not None and pending.entries:
            await self._bus.acknowledge(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP, *pending.entries)

    # --- desired state ---

    async def _restore(self) -> None:
        for host_id in self._packed:
            await self._placer.ensure(Placement(host_id, PlacementKind.PACKED))
        for session in await self._store.find("sessions", {"active": True}):
            self._adopt(session)
        for placement in set(self._placements.values()):
            await self._placer.ensure(placement)
        await self._want_strategies(always=True)

    def _adopt(self, session: dict[str, Any]) -> None:
        if "config" not in session:
            return
        user_id = str(session["_id"])
        self._placements[user_id] = Placement(str(session["host"]), PlacementKind(session["placement"]))
        self._configs[user_id] = _decode_config(str(session["config"]))

    async def _want_strategies(self, *, always: bool = False) -> None:
        specs = {
            subscription.key: StrategySpec(
                strategy=subscription.strategy,
                parameters=subscription.parameters,
                instrument=subscription.instrument,
                timeframe=subscription.timeframe,
            )
            for config in self._configs.values()
            for subscription in config.subscriptions
        }
        wanted = tuple(specs[key] for key in sorted(specs))
        if always or wanted != self._specs:
            await self._bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=wanted)), max_length=1_000)
            self._specs = wanted

    async def _keep_reconciling(self) -> None:
        release_at = 0.0
        while True:
            await self._clock.sleep(RECONCILE_SECONDS)
            try:
                async with self._turn:
                    await self._reroute_lost()
                    if self._loop_time() >= release_at:  # reads every session: seldom
                        await self._release_stopped()
                        release_at = self._loop_time() + RELEASE_SECONDS
            except ServerUnavailable as error:
                logger.warning("reconciling waits for a server: {}", error)

    async def _reroute_lost(self) -> None:
        """A command without a durable answer is sent again: the engine knows its id, so a second arrival changes nothing."""
        horizon = self._loop_time() - REROUTE_SECONDS
        for command_id, pending in list(self._pending.items()):
            if pending.routed_at > horizon:
                continue
            document = await self._store.get("commands", command_id)
            if document is not None and "outcome" in document:
                await self._acknowledge(command_id)
            else:
                pending.routed_at = self._loop_time()
                await self._send(pending.host_id, pending.message)

    async def _release_stopped(self) -> None:
        """Forget sessions whose traders are idle, and end the processes that were theirs alone."""
        active = {str(session["_id"]): session for session in await self._store.find("sessions", {"active": True})}
        busy = {pending.message.user_id for pending in self._pending.values() if isinstance(pending.message, ForUser)}
        stopped = [user for user in self._placements if user not in active and user not in busy]
        for user_id in stopped:
            placement = self._placements.pop(user_id)
            self._configs.pop(user_id, None)
            if placement.kind is PlacementKind.DEDICATED:
                await self._placer.remove(placement.host_id)
                await report(self._bus, placement.host_id, GONE)
        if stopped:
            await self._want_strategies()

    # --- lookups ---

    def _host_of(self, user_id: str) -> str:
        """A user without a session is served by a packed host, always the same one."""
        placement = self._placements.get(user_id)
        if placement is not None:
            return placement.host_id
        return self._packed[sum(user_id.encode()) % len(self._packed)]

    def _hosts(self) -> list[str]:
        return sorted({*self._packed, *(placement.host_id for placement in self._placements.values())})

    def _packed_load(self) -> dict[str, int]:
        load = Counter(placement.host_id for placement in self._placements.values())
        return {host_id: load[host_id] for host_id in self._packed}

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()
