"""The kill switch from the operator's side: cried out, written down, sent to every host concerned, and its roll called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from loguru import logger

from actors.kill_switch import halt_document
from actors.supervisor.dispatch import Dispatcher
from actors.supervisor.intake import Arrival
from actors.wire import Cry, ForAll, ForUser, HaltAhead, Hush, RollCallAnswer, decode_halt_ahead, decode_roll_call_answer, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import Announce, EventType, HaltTrading, ResumeTrading
from runtime.halts import HaltTarget
from runtime.ports import Bus, Clock, Store, Subscription

ROLL_CALL_SECONDS = 2.0
"""After this long the roll is read out with the names that are missing; once more when the last one has answered."""


class RollCall(msgspec.Struct):
    """Who was told of a halt or of its end, and how many traders each host that answered has told."""

    command_id: str
    target: HaltTarget
    halted: bool
    told: frozenset[str]
    called_at: float
    answered: dict[str, int] = {}
    read_out: bool = False

    @property
    def missing(self) -> list[str]:
        return sorted(self.told - self.answered.keys())

    def data(self, now: float) -> dict[str, object]:
        return {
            "command_id": self.command_id,
            "halted": self.halted,
            "scope": str(self.target.scope),
            **({} if self.target.user_id is None else {"of_user": self.target.user_id}),
            **({} if self.target.strategy is None else {"strategy": self.target.strategy}),
            "hosts": len(self.told),
            "acknowledged": len(self.told) - len(self.missing),
            "traders": sum(self.answered.values()),
            "missing": self.missing,
            "complete": not self.missing,
            "seconds": round(now - self.called_at, 3),
        }


class Halts:
    """`hosts` names those that run, `host_of` that of one user; `voice` is the user id under which the platform speaks."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        dispatcher: Dispatcher,
        *,
        hosts: Callable[[], Sequence[str]],
        host_of: Callable[[str], str],
        voice: str,
    ) -> None:
        self._bus, self._store, self._clock, self._dispatcher = bus, store, clock, dispatcher
        self._hosts, self._host_of, self._voice = hosts, host_of, voice
        self._calls: dict[str, RollCall] = {}

    async def cry(self, command_id: str, target: HaltTarget, arrival: Arrival) -> None:
        """Shut the gates of all hosts, before anything is looked up: orders are leaving, and the store may be away.

        One write to Redis goes ahead (0.4 ms with an fsync): should we die from here on, our successor takes the command up.
        """
        cry = Cry(command_id=command_id, target=target)
        ahead = HaltAhead(cry=cry, payload=arrival.payload, arrived_at=arrival.arrived_at, entry_id=arrival.entry_id)
        await self._bus.set_fields(channels.HALTS_AHEAD, {command_id: encode(ahead)})
        await self._bus.publish(channels.HALTS, encode(cry))

    async def unfinished(self) -> list[Arrival]:
        """Cry again what a supervisor before us took and did not finish; returns the commands, which are to be obeyed."""
        arrivals: list[Arrival] = []
        for payload in (await self._bus.get_fields(channels.HALTS_AHEAD)).values():
            ahead = decode_halt_ahead(payload)
            await self._bus.publish(channels.HALTS, encode(ahead.cry))
            arrivals.append(Arrival(payload=ahead.payload, arrived_at=ahead.arrived_at, entry_id=ahead.entry_id))
        return sorted(arrivals, key=lambda arrival: arrival.arrived_at)

    async def finished(self, command_id: str) -> None:
        """It is on record and on its way to every host."""
        await self._bus.delete_field(channels.HALTS_AHEAD, command_id)

    async def hush(self, command_id: str) -> None:
        """The cry was that of a command which was obeyed long ago."""
        await self._bus.publish(channels.HALTS, encode(Hush(command_id=command_id)))

    async def halt(self, event: HaltTrading) -> dict[str, object]:
        """Returns what to answer. `cry` comes before."""
        document = {"active": True, "reason": event.reason, "positions": event.positions, "halted_at": self._clock.now()}
        return await self._tell(event, document)

    async def resume(self, event: ResumeTrading) -> dict[str, object]:
        """Also ends a cry whose command was lost with the supervisor that took it."""
        await self._bus.publish(channels.HALTS, encode(Hush(target=event.target)))
        return await self._tell(event, {"active": False, "resumed_at": self._clock.now()})

    async def _tell(self, event: HaltTrading | ResumeTrading, document: dict[str, Any]) -> dict[str, object]:
        target = event.target
        told = self._hosts() if target.user_id is None else [self._host_of(target.user_id)]
        call = RollCall(event.command_id, target, isinstance(event, HaltTrading), frozenset(told), _now())
        self._calls[call.command_id] = call
        names = {"scope": target.scope, "user_id": target.user_id, "strategy": target.strategy, "command_id": event.command_id}
        roll: dict[str, Any] = {"told": sorted(told), "acknowledged": {}, "complete": False}
        await self._store.upsert("platform", {halt_document(target): names | document | roll})
        for host_id in told:
            await self._dispatcher.send(host_id, ForAll(input=event))
        return {"scope": str(target.scope), "hosts": len(told)}

    # --- the roll ---

    async def restore(self) -> None:
        """Calls of a supervisor before us that were not complete."""
        for document in await self._store.find("platform", {"complete": False}):
            target = msgspec.convert({name: document.get(name) for name in ("scope", "user_id", "strategy")}, HaltTarget)
            call = RollCall(str(document["command_id"]), target, bool(document["active"]), frozenset(document["told"]), _now())
            call.answered = {str(host_id): int(traders) for host_id, traders in document["acknowledged"].items()}
            self._calls[call.command_id] = call

    async def listen(self, subscription: Subscription) -> None:
        while True:
            try:
                async for _, payload in subscription:
                    await self._take(decode_roll_call_answer(payload))
            except ServerUnavailable as error:
                logger.warning("the roll call waits for Redis: {}", error)

    async def look_again(self) -> None:
        """Answers that were not heard are in a hash; a call that has waited long enough is read out as it stands."""
        for call in list(self._calls.values()):
            for host_id, traders in (await self._bus.get_fields(channels.roll_call(call.command_id))).items():
                await self._take(RollCallAnswer(command_id=call.command_id, host_id=host_id, traders=int(traders)))
            if call.missing and not call.read_out and _now() - call.called_at >= ROLL_CALL_SECONDS:
                call.read_out = True
                await self._read_out(call)

    async def _take(self, answer: RollCallAnswer) -> None:
        call = self._calls.get(answer.command_id)
        if call is None or answer.host_id not in call.missing:
            return
        call.answered[answer.host_id] = answer.traders
        if not call.missing:
            del self._calls[call.command_id]
            await self._read_out(call)
            await self._bus.delete_key(channels.roll_call(call.command_id))

    async def _read_out(self, call: RollCall) -> None:
        document = await self._store.get("platform", halt_document(call.target))
        if document is not None and document["command_id"] == call.command_id:  # not one that was resumed meanwhile
            roll = {"acknowledged": call.answered, "complete": not call.missing}
            await self._store.upsert("platform", {halt_document(call.target): roll})
        event = Announce(ts=self._clock.now(), event_type=EventType.ROLL_CALL, data=call.data(_now()))
        await self._dispatcher.send(self._host_of(self._voice), ForUser(user_id=self._voice, input=event))


def _now() -> float:
    return asyncio.get_running_loop().time()
