"""Takes commands in by both doors, keeps the desired state, places traders on hosts and keeps the hosts running.

Losing this process loses nothing: commands are acknowledged only when their effect is in the user's journal, and what
should run is in the `sessions` collection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from loguru import logger

from actors.placement import Placement, PlacementKind, Placer, dedicated_host
from actors.routing import to_input
from actors.supervisor.dispatch import Dispatcher
from actors.supervisor.halts import Halts
from actors.supervisor.intake import WAITING_MAX, Arrival, Intake
from actors.supervisor.moves import Moves
from actors.supervisor.rollouts import Rollouts
from actors.supervisor.sessions import Sessions
from actors.supervisor.signals import PublishedSignals
from actors.supervisor.subscriptions import SubscriptionCommand, paused, with_subscription, without
from runtime import channels
from runtime.commands import (
    AbortCanary,
    Catalogue,
    Command,
    DrainHost,
    Halt,
    HaltAll,
    InvalidCommand,
    MigrateUser,
    PauseSubscription,
    PromoteCanary,
    PublishSignal,
    RejectReason,
    Resume,
    ResumeAll,
    ResumeSubscription,
    StartCanary,
    StartTrading,
    Subscribe,
    Unsubscribe,
    UpdateConfig,
    parse_command,
    session_config,
    session_subscription,
)
from runtime.errors import InvalidConfig, ServerUnavailable
from runtime.events import AcceptCommand, EngineInput, HaltTrading, RejectCommand, ResumeTrading
from runtime.halts import HaltTarget
from runtime.ports import Bus, Clock, Store, Vault
from runtime.ports import Subscription as ChannelSubscription
from runtime.rollouts import RolloutState
from runtime.session import SessionConfig, Subscription

PLATFORM = "_platform"
"""The user id under which answers that belong to no user are published."""
RECONCILE_SECONDS = 2.0
RELEASE_SECONDS = 30.0
ROLLOUTS_SECONDS = 10.0


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
        self._bus, self._store, self._clock = bus, store, clock
        self._catalogue, self._vault = catalogue, vault
        self._sessions = Sessions(bus, store, placer, packed_hosts=packed_hosts, dedicated_max=dedicated_max)
        self._dispatcher = Dispatcher(bus, store, clock, self._sessions.host_of)
        self._intake = Intake(bus, clock)
        self._signals = PublishedSignals(bus, store)
        self._halts = Halts(bus, store, clock, self._dispatcher, hosts=self._sessions.hosts, host_of=self._sessions.host_of, voice=PLATFORM)
        self._moves = Moves(store, clock, self._sessions, self._dispatcher, voice=PLATFORM)
        self._rollouts = Rollouts(bus, store, clock, self._sessions, self._dispatcher, voice=PLATFORM)
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        await self._bus.create_group(channels.COMMANDS_STREAM, channels.COMMANDS_GROUP)
        async with (
            self._bus.subscribe(channels.COMMANDS) as commands,
            self._bus.subscribe(channels.ACKNOWLEDGED) as acknowledged,
            self._bus.subscribe(channels.ROLL_CALL) as roll_call,
            asyncio.TaskGroup() as tasks,
        ):
            for arrival in await self._halts.unfinished():
                await self._intake.offer(arrival)
            await self._rollouts.restore()
            await self._sessions.restore()
            await self._halts.restore()
            await self._moves.restore()
            tasks.create_task(self._intake.read_channel(commands))
            tasks.create_task(self._intake.read_stream())
            tasks.create_task(self._serve(self._intake.take, self._turn))
            tasks.create_task(self._serve(self._intake.take_urgent, asyncio.Lock()))  # the kill switch waits for nobody's turn
            tasks.create_task(self._read_acknowledged(acknowledged))
            tasks.create_task(self._halts.listen(roll_call))
            tasks.create_task(self._keep_reconciling())
            self.ready.set()

    # --- commands ---

    async def _serve(self, take: Callable[[], Awaitable[Arrival]], turn: asyncio.Lock) -> None:
        while True:
            await self._receive(await take(), turn)

    async def _receive(self, arrival: Arrival, turn: asyncio.Lock) -> None:
        """One message, one answer. An outage of a server is waited out: the message is not lost and not taken twice."""
        while True:
            try:
                async with turn:
                    try:
                        command = parse_command(arrival.payload, arrival.arrived_at)
                        if arrival.refused:
                            raise _overloaded(command, arrival.refused)
                        await self._admit(command, arrival)
                    except InvalidCommand as error:
                        await self._reject(error, arrival)
            except ServerUnavailable as error:
                logger.warning("a command waits for a server: {}", error)
                await self._clock.sleep(1.0)
            else:
                return

    async def _admit(self, command: Command, arrival: Arrival) -> None:
        user_id, command_id = _heard_by(command), command.command_id
        halts = isinstance(command, Halt | HaltAll)
        if halts:
            await self._halts.cry(command_id, _target(command), arrival)
        if not await self._dispatcher.was_answered(user_id, command_id, command.action, arrival.entry_id):
            await self._dispatcher.route(user_id, await self._effect(command, arrival), command_id, arrival.entry_id)
        elif halts:
            await self._halts.hush(command_id)
        if halts:
            await self._halts.finished(command_id)

    async def _effect(self, command: Command, arrival: Arrival) -> EngineInput:
        """Do what is the supervisor's own part; returns what the trader, or the platform's voice, has to take in."""
        now, command_id = self._clock.now(), command.command_id
        match command:
            case Halt(data=data) | HaltAll(data=data):
                target = _target(command)
                halt = HaltTrading(ts=now, command_id=command_id, reason=data.reason, positions=data.positions, target=target)
                detail = await self._halts.halt(halt)
            case Resume() | ResumeAll():
                detail = await self._halts.resume(ResumeTrading(ts=now, command_id=command_id, target=_target(command)))
            case PublishSignal():
                detail = await self._signals.publish(command.data, command_id=command_id, arrived_at=arrival.arrived_at)
                detail["subscribers"] = self._sessions.subscribers(str(detail["strategy_key"]))
            case StartCanary() | PromoteCanary() | AbortCanary():
                detail = await self._roll_out(command)
            case DrainHost():
                detail = await self._drain(command)
            case MigrateUser():
                return await self._moves.begin(command.user_id, self._destination(command), command_id)
            case StartTrading() | UpdateConfig():
                config = await self._configured(command)
                await self._sessions.configure(command.user_id, config)
                return to_input(command, now, config=config)
            case Subscribe() | Unsubscribe() | PauseSubscription() | ResumeSubscription():
                return await self._subscribed(command)
            case _:
                return to_input(command, now)
        return AcceptCommand(ts=now, command_id=command_id, action=command.action, detail=detail)

    async def _configured(self, command: StartTrading | UpdateConfig) -> SessionConfig:
        """The session's new configuration; a token in it goes into the vault."""
        token, current = command.data.access_token, self._sessions.config(command.user_id)
        config = session_config(command, current, self._catalogue, credentials=None if token is None else "in the vault soon")
        if token is None:
            return config
        reference = await self._vault.put(command.user_id, config.broker, token.get_secret_value())
        return session_config(command, current, self._catalogue, credentials=reference)

    def _destination(self, command: MigrateUser) -> Placement:
        """Where a user may move to. Raises `InvalidCommand`: he does not run, is there already, or there is no such host."""
        user_id, to = command.user_id, command.data.to
        refuse = partial(InvalidCommand, action=command.action, user_id=user_id, command_id=command.command_id)
        if not self._sessions.is_running(user_id):
            raise refuse("user_id", "no session of this user is running", reason=RejectReason.NOT_RUNNING)
        own = dedicated_host(user_id)
        placement = Placement(own, PlacementKind.DEDICATED) if to in {"dedicated", own} else Placement(to, PlacementKind.PACKED)
        known = [host_id for host_id in self._sessions.packed if host_id not in self._sessions.closed]
        if placement.kind is PlacementKind.PACKED and to not in known:
            raise refuse("data.to", f"must be one of {', '.join([*known, 'dedicated'])}", reason=RejectReason.UNKNOWN_HOST)
        if placement.host_id == self._sessions.host_of(user_id):
            raise refuse("data.to", "the user lives there already")
        return placement

    async def _roll_out(self, command: StartCanary | PromoteCanary | AbortCanary) -> dict[str, object]:
        refuse = partial(InvalidCommand, action=command.action, command_id=command.command_id)
        key, rollouts = command.data.strategy, self._rollouts
        in_force = rollouts.in_force(key)
        if isinstance(command, StartCanary):
            baseline = self._sessions.spec(key)
            if baseline is None:
                raise refuse("data.strategy", "nobody follows a strategy of this key", reason=RejectReason.UNKNOWN_STRATEGY)
            if in_force is not None:
                raise refuse("data.strategy", f"has a roll-out that is {in_force.state}: abort that first")
            name, parameters = command.data.candidate or baseline.strategy, command.data.parameters
            try:
                self._catalogue.create_strategy(name, parameters)
            except InvalidConfig as error:
                raise refuse(f"data.parameters.{error.field.removeprefix(f'{name}.')}", error.fix) from None
            candidate = msgspec.structs.replace(baseline, strategy=name, parameters=dict(parameters))
            if candidate.key == key:
                raise refuse("data.parameters", "are the baseline's own")
            return await rollouts.start(command.data, candidate)
        if in_force is None:
            raise refuse("data.strategy", "has no roll-out", reason=RejectReason.NO_ROLLOUT)
        state = RolloutState.PROMOTED if isinstance(command, PromoteCanary) else RolloutState.ABORTED
        return await rollouts.end(key, state, "by an operator")

    async def _drain(self, command: DrainHost) -> dict[str, object]:
        host_id = command.data.host
        refuse = partial(InvalidCommand, action=command.action, command_id=command.command_id)
        if host_id not in self._sessions.packed:
            raise refuse("data.host", f"must be one of {', '.join(self._sessions.packed)}", reason=RejectReason.UNKNOWN_HOST)
        if command.data.undo:
            await self._sessions.open_host(host_id)
            return {"host": host_id, "users": 0}
        if set(self._sessions.packed) <= self._sessions.closed | {host_id}:
            raise refuse("data.host", "is the last packed host that is open: users would have nowhere to go")
        return {"host": host_id, "users": await self._moves.drain(host_id, command.command_id)}

    async def _subscribed(self, command: SubscriptionCommand) -> EngineInput:
        """The engine makes the same change, or refuses it when the session does not run or does not follow this strategy."""
        current = self._sessions.config(command.user_id)
        subscription: Subscription | None = None
        changed = current
        match command:
            case Subscribe(data=data, user_id=user_id, command_id=command_id):
                base = current or SessionConfig()
                subscription = session_subscription(
                    data, base, self._catalogue, action=command.action, user_id=user_id, command_id=command_id
                )
                changed = current and with_subscription(current, subscription)
            case Unsubscribe(data=data):
                changed = current and without(current, data.subscription)
            case PauseSubscription(data=data) | ResumeSubscription(data=data):
                changed = current and paused(current, data.subscription, is_paused=isinstance(command, PauseSubscription))
        if changed is not None and changed != current:
            await self._sessions.configure(command.user_id, changed)
        return to_input(command, self._clock.now(), subscription=subscription)

    async def _reject(self, error: InvalidCommand, arrival: Arrival) -> None:
        user_id, command_id = error.user_id or PLATFORM, error.command_id or arrival.fallback_id
        is_new = not self._dispatcher.is_pending(user_id, command_id)
        if is_new and error.command_id and await self._dispatcher.was_answered(user_id, command_id, error.action, arrival.entry_id):
            return
        event = RejectCommand(
            ts=self._clock.now(),
            command_id=command_id,
            action=error.action,
            field=error.field,
            reason=str(error.reason),
            detail=error.detail,
        )
        await self._dispatcher.route(user_id, event, command_id, arrival.entry_id)

    # --- what goes on by itself ---

    async def _read_acknowledged(self, subscription: ChannelSubscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    key = payload.decode()
                    await self._dispatcher.acknowledge(key)
                    if self._moves.is_open(key):
                        async with self._turn:  # nobody is configured while he is on his way
                            await self._moves.acknowledged(key)
            except ServerUnavailable as error:
                logger.warning("acknowledgements wait for Redis: {}", error)

    async def _keep_reconciling(self) -> None:
        loop, release_at, rollouts_at = asyncio.get_running_loop(), 0.0, 0.0
        while True:
            await self._clock.sleep(RECONCILE_SECONDS)
            try:
                async with self._turn:
                    await self._dispatcher.reroute_lost()
                    await self._halts.look_again()
                    await self._moves.look_again()
                    if loop.time() >= rollouts_at:  # reads the books of their followers
                        await self._rollouts.look_again()
                        rollouts_at = loop.time() + ROLLOUTS_SECONDS
                    if loop.time() >= release_at:  # reads every session: seldom
                        await self._sessions.release_stopped(self._dispatcher.busy_users())
                        release_at = loop.time() + RELEASE_SECONDS
            except ServerUnavailable as error:
                logger.warning("reconciling waits for a server: {}", error)


def _heard_by(command: Command) -> str:
    """Who hears the answer: commands about more than one user are answered under the platform's name."""
    return PLATFORM if isinstance(command, _Platform) else command.user_id


_Platform = Halt | Resume | HaltAll | ResumeAll | PublishSignal | DrainHost | StartCanary | PromoteCanary | AbortCanary


def _target(command: Halt | Resume | HaltAll | ResumeAll) -> HaltTarget:
    if isinstance(command, HaltAll | ResumeAll):
        return HaltTarget()
    return HaltTarget(scope=command.data.scope, user_id=command.user_id, strategy=command.data.strategy)


def _overloaded(command: Command, count: int) -> InvalidCommand:
    return InvalidCommand(
        "message",
        f"{count} of this user's commands were not taken, this one the first: at most {WAITING_MAX} may wait",
        reason=RejectReason.OVERLOADED,
        action=command.action,
        user_id=command.user_id or "",
        command_id=command.command_id,
    )
