"""One poisoned user among fifty: what the other forty-nine send is what they send without him."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pytest

from actors.local_system import LocalSystem
from actors.supervisor.intake import PER_SECOND, WAITING_MAX
from actors.trader_host import TraderHost
from actors.user_trader import UserTrader
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import ForUser, SignalMessage, encode
from adapters.memory import MemoryBus, MemoryJournal, MemoryServer, MemoryStore
from runtime import channels
from runtime.events import EngineInput, EventType, PublicEvent, StartSession
from runtime.market import Prices, Quote
from runtime.orders import Order, OrderRejected
from runtime.session import Mode, SessionConfig
from runtime.signals import Side
from tests.builders import at, config, option, signal
from tests.faults.test_host_restart import settle
from tests.scenarios import test_published_signals as published
from tests.scenarios.test_published_signals import following, publish, sides

HOST = "packed-0"
POISONED = "u25"
NAMES = [f"u{number:02d}" for number in range(50)]
_decode_event = msgspec.json.Decoder(PublicEvent).decode


class Broker:
    """A live desk whose broker never answers (`hangs`), or refuses everything (`revoked`)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.host: TraderHost | None = None

    def submit(self, order: Order, ts: datetime) -> None:
        assert self.host is not None
        if self.kind == "revoked":
            self.host.deliver(order.user_id, OrderRejected(ts=ts, order_id=order.order_id, reason="401: token revoked"))

    def cancel(self, order: Order, ts: datetime) -> None: ...

    def attach(self, deliver: Callable[[str, EngineInput], None], now: Callable[[], datetime]) -> None: ...

    def call_off(self, forbids: Callable[[str, str], bool]) -> None: ...

    def follow(self, trader: UserTrader) -> None: ...

    def dismiss(self, user_id: str) -> None: ...

    async def close(self) -> None: ...


POISONS: dict[str, SessionConfig] = {
    "healthy": config(),
    "a config that raises on the first fill": msgspec.structs.replace(config(), fees="no such scale"),
    "hangs": msgspec.structs.replace(config(), mode=Mode.LIVE, broker="upstox"),
    "revoked": msgspec.structs.replace(config(), mode=Mode.LIVE, broker="upstox"),
}


async def day(poison: str) -> list[PublicEvent]:
    """Four signals and the prices around them, on one host with fifty users."""
    server = MemoryServer()
    bus, store = MemoryBus(server), MemoryStore()
    broker = Broker(poison)
    clock = VirtualClock(at("10:00"))
    host = broker.host = TraderHost(HOST, bus=MemoryBus(server), journal=MemoryJournal(), store=store, clock=clock, live=broker)
    task = asyncio.create_task(host.run())
    await host.ready.wait()
    for name in NAMES:
        settings = POISONS[poison] if name == POISONED else config()
        start = StartSession(ts=at("09:00"), command_id="start", config=settings)
        await bus.append(channels.host_inbox(HOST), encode(ForUser(user_id=name, input=start)), max_length=1_000)
    await settle()
    quotes = tuple(Quote(option(right=right).id, 100.0, 99.95, 100.0) for right in ("CE", "PE"))  # type: ignore[arg-type]
    await bus.publish(channels.PRICES, encode(Prices(seq=1, ts=at("09:59"), quotes=quotes, signals_id="0")))
    seq = 1
    for number, side in enumerate((Side.LONG, Side.SHORT, Side.FLAT, Side.LONG)):
        clock_time = f"10:{number:02d}"
        message = SignalMessage(signal=signal(side, clock=clock_time), closed_at_ns=0)
        signals_id = await bus.append(channels.SIGNALS, encode(message), max_length=100)
        seq += 1
        await bus.publish(channels.PRICES, encode(Prices(seq=seq, ts=at(clock_time), quotes=quotes, signals_id=signals_id)))
        await asyncio.sleep(30)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [_decode_event(payload) for _, payload in await bus.read(channels.EVENTS_STREAM, "0", count=100_000)]


def others(events: Sequence[PublicEvent]) -> dict[str, list[tuple[Any, ...]]]:
    """What each of the forty-nine heard, its own sequence number included."""
    return {name: [(e.seq, e.type, e.ts, e.data) for e in events if e.user_id == name] for name in NAMES if name != POISONED}


@pytest.mark.parametrize("poison", [poison for poison in POISONS if poison != "healthy"])
def test_whatever_is_wrong_with_one_user_the_others_never_notice(poison: str) -> None:
    control, poisoned = run_virtual(day("healthy")), run_virtual(day(poison))
    assert others(poisoned) == others(control)
    orders = [event for event in poisoned if event.type is EventType.ORDER_SUBMITTED and event.user_id != POISONED]
    assert len(orders) == 49 * 5  # in, out and in again, out, in
    own = [str(event.type) for event in poisoned if event.user_id == POISONED]
    assert ("SESSION_PAUSED" in own) == (poison == "a config that raises on the first fill")
    assert ("ORDER_REJECTED" in own) == (poison == "revoked")
    assert "POSITION_CLOSED" not in own


def test_ten_thousand_commands_a_second_of_one_user_delay_nobody() -> None:
    """The flood goes on for three seconds; a signal and commands of others come in the middle of it."""
    flood_per_second, seconds = 10_000, 3
    users = {name: following() for name in ("u1", "u2", "u3")}

    async def traded(system: LocalSystem) -> None:
        await publish(system, "buy", signalId="1")
        await system.send("PAUSE_TRADING", "u1", command_id="pause")
        await system.send("RESUME_TRADING", "u1", command_id="resume")
        await system.clock.sleep(0.5)
        await publish(system, "flat", signalId="2")

    async def calm(system: LocalSystem) -> None:
        await system.clock.sleep(1)
        await traded(system)

    async def flooded(system: LocalSystem) -> None:
        async def flood() -> None:
            for number in range(flood_per_second * seconds):
                action = ("PAUSE_TRADING", "RESUME_TRADING")[number % 2]
                message = {"action": action, "user_id": "flood", "command_id": f"f{number}"}
                await system.bus.publish(channels.COMMANDS, json.dumps(message).encode())
                if number % 100 == 99:
                    await system.clock.sleep(100 / flood_per_second)

        system.spawn(flood())
        await system.clock.sleep(1)
        await traded(system)

    control, events = published.play(calm, **users), published.play(flooded, **users, flood={})
    for name in users:
        assert sides(events, name) == sides(control, name)
        assert [(leg, side) for leg, side, _ in sides(events, name)] == [("ENTRY", "BUY"), ("EXIT", "SELL")]
    for command_id in ("pause", "resume"):
        [answer], [calm_answer] = ([e for e in run if e.data.get("command_id") == command_id] for run in (events, control))
        assert answer.type == calm_answer.type == "COMMAND_ACCEPTED"
        assert (answer.ts - calm_answer.ts).total_seconds() <= 1.0
    answered = [event for event in events if event.user_id == "flood" and event.type in {"COMMAND_ACCEPTED", "COMMAND_REJECTED"}]
    assert len(answered) < PER_SECOND * 60 + WAITING_MAX  # the rest was refused, many with one answer
    refused = [event.data for event in answered if event.data.get("reason") == "overloaded"]
    assert all("at most 1000 may wait" in str(data["detail"]) for data in refused)
