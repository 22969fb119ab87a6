"""What an operator has halted, as one host knows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from loguru import logger

from actors.streams import unless_redis_is_away
from actors.wire import Cry, HaltCall, RollCallAnswer, decode_halt_ahead, decode_halt_call, encode
from runtime import channels
from runtime.errors import ServerUnavailable
from runtime.events import HaltTrading, ResumeTrading
from runtime.halts import HaltScope, HaltTarget
from runtime.ports import Bus, Store, Subscription
from runtime.session import OnBreach
from runtime.state import EngineState

_KNOWN_KEPT = 1_000


def halt_document(target: HaltTarget) -> str:
    """Where a halt is kept in the collection `platform`: `halt:platform`, `halt:strategy:ema_cross`, …"""
    return f"halt:{target.key}"


class KillSwitch:
    """The supervisor keeps every halt in the collection `platform`, tells the hosts in their inboxes, and before that cries it
    on a channel. The cry shuts the gate at once, for orders that were decided before it was heard; the message in the inbox,
    which waits behind other work, is what the traders take in. A host that was away reads the documents, and what is not yet in
    them from Redis.
    """

    def __init__(self) -> None:
        self._halts: dict[HaltTarget, HaltTrading] = {}
        self._cried: dict[str, HaltTarget] = {}
        """By command id: heard of on the channel, not yet in the inbox."""
        self._known: deque[str] = deque(maxlen=_KNOWN_KEPT)
        """Command ids that came by the inbox: a cry that comes after them is late."""

    async def read(self, bus: Bus, store: Store, now: datetime) -> None:
        """For a host that starts, before anything leaves. A halt goes from ahead of the record into it, so that who reads the
        record last misses none; a later one is heard on the channel, which the host listens to already.
        """
        for payload in (await bus.get_fields(channels.HALTS_AHEAD)).values():
            self.hear(decode_halt_ahead(payload).cry)
        for document in await store.find("platform", {"active": True}):
            if str(document["_id"]).startswith("halt:"):
                halt = _from_document(document, now)
                self._halts[halt.target] = halt
                self._known.append(halt.command_id)
                self._cried.pop(halt.command_id, None)

    def hear(self, call: HaltCall) -> None:
        """The supervisor's cry: from now on no entry that it covers leaves. Or that it was nothing."""
        if isinstance(call, Cry):
            if call.command_id not in self._known:
                self._cried[call.command_id] = call.target
            return
        kept = {name: target for name, target in self._cried.items() if name != call.command_id and target != call.target}
        self._cried = kept

    async def listen(self, subscription: Subscription, heard: Callable[[], None]) -> None:
        """Hear every cry, ahead of all that waits in the inbox: orders that were decided and have not left must not leave.

        `heard` is called after each.
        """
        while True:
            try:
                async for _, payload in subscription:
                    self.hear(decode_halt_call(payload))
                    heard()
            except ServerUnavailable as error:
                logger.warning("the kill switch waits for Redis: {}", error)

    def turn(self, event: HaltTrading | ResumeTrading) -> None:
        """A halt or its end, in its turn among the host's work."""
        self._known.append(event.command_id)
        if isinstance(event, HaltTrading):
            self._cried.pop(event.command_id, None)
            self._halts.setdefault(event.target, event)
        else:
            self._halts.pop(event.target, None)

    def forbids(self, user_id: str, strategy_key: str) -> bool:
        """Whether an entry of this subscription must not leave."""
        if not self._halts and not self._cried:
            return False
        targets: Iterable[HaltTarget] = (*self._halts, *self._cried.values())
        return any(target.covers(user_id, strategy_key) for target in targets)

    def in_force(self) -> Iterable[HaltTrading]:
        return self._halts.values()

    def news_for(self, state: EngineState, now: datetime) -> list[HaltTrading | ResumeTrading]:
        """What a trader must learn that was away when something was halted or resumed."""
        known = {halt.target for halt in state.halts}
        news: list[HaltTrading | ResumeTrading] = [
            msgspec.structs.replace(halt, ts=now)
            for target, halt in self._halts.items()
            if target.concerns(state.user_id) and target not in known
        ]
        news += [ResumeTrading(ts=now, command_id="", target=target) for target in known - self._halts.keys()]
        return news


async def answer_roll_call(bus: Bus, answer: RollCallAnswer) -> None:
    """In a hash, where nobody can miss it, and on a channel for whoever waits."""
    await unless_redis_is_away(bus.set_fields(channels.roll_call(answer.command_id), {answer.host_id: str(answer.traders).encode()}))
    await unless_redis_is_away(bus.publish(channels.ROLL_CALL, encode(answer)))


def _from_document(document: Mapping[str, Any], now: datetime) -> HaltTrading:
    return HaltTrading(
        ts=now,
        command_id=str(document["command_id"]),
        reason=str(document["reason"]),
        positions=OnBreach(document.get("positions", OnBreach.KEEP)),
        target=HaltTarget(scope=HaltScope(document["scope"]), user_id=document.get("user_id"), strategy=document.get("strategy")),
    )
