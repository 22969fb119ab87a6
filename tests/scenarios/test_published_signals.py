"""Signals of other programs, in one process and virtual time: published once, followed by everybody who subscribes to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time
from typing import Any

import msgspec

from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from adapters.simulated import SimulatedMarket, SimulationConfig
from runtime import channels
from runtime.events import PublicEvent
from runtime.market import IST
from runtime.strategy import strategy_key

SESSION = date(2026, 11, 20)
INDEX, FUTURE = "NSE:BANKNIFTY", "NSE:BANKNIFTY26NOVFUT"
KEY = strategy_key("external", {"source": "alerts"}, INDEX, "1m")  # pyright: ignore[reportArgumentType]


def following(source: str = "alerts", instrument: str = INDEX, **more: Any) -> dict[str, Any]:
    plain = {"sizing": {"method": "fixed", "quantity": 30}, "protection": {"exit_mode": "SIGNAL_ONLY"}, "risk": {"max_daily_loss": None}}
    return {"strategy": "external", "parameters": {"source": source}, "instrument": instrument} | plain | more


def subscription() -> dict[str, Any]:
    return {name: value for name, value in following().items() if name != "risk"}


def play(script: Callable[[LocalSystem], Awaitable[None]], **users: dict[str, Any]) -> list[PublicEvent]:
    """A few minutes of a day; `script` runs once the users have started and the market moves."""
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=7, ticks_per_second=1))

    async def run() -> list[PublicEvent]:
        async with LocalSystem(market, VirtualClock(datetime.combine(SESSION, time(9, 14), IST))) as system:
            for user, data in users.items():
                await system.send("START_TRADING", user, data)
            await system.settle()
            await system.begin()
            await system.clock.sleep(30)
            await script(system)
            await system.clock.sleep(5)
            return await system.events()

    return run_virtual(run())


async def publish(system: LocalSystem, signal: object, **more: Any) -> None:
    """By the channel, whose messages arrive when the clock says; the stream in memory numbers its entries instead."""
    data = {"strategyId": "alerts", "symbol": INDEX, "signal": signal} | more
    await system.bus.publish(channels.COMMANDS, msgspec.json.encode({"action": "PUBLISH_SIGNAL", "data": data}))
    await system.clock.sleep(5)


def sides(events: list[PublicEvent], user: str) -> list[tuple[object, object, object]]:
    orders = [event for event in events if event.user_id == user and event.type == "ORDER_SUBMITTED"]
    return [(order.data["leg"], order.data["side"], order.data["instrument"]) for order in orders]


def answers(events: list[PublicEvent]) -> list[dict[str, object]]:
    return [event.data for event in events if event.user_id == "_platform" and event.type.startswith("COMMAND_")]


def test_everybody_who_follows_a_source_trades_its_signal_and_nobody_else() -> None:
    async def script(system: LocalSystem) -> None:
        await publish(system, "buy", signalId="1")
        await publish(system, "SHORT", signalId="2")
        await publish(system, 0, signalId="3")

    events = play(script, u1=following(), u2=following(), other=following(source="elsewhere"), scalper={})
    bought_then_sold = [
        ("ENTRY", "BUY", FUTURE),
        ("EXIT", "SELL", FUTURE),
        ("ENTRY", "SELL", FUTURE),
        ("EXIT", "BUY", FUTURE),
    ]
    assert sides(events, "u1") == sides(events, "u2") == bought_then_sold
    assert sides(events, "other") == sides(events, "scalper") == []
    assert [(answer["subscribers"], answer["duplicate"]) for answer in answers(events)] == [(2, False)] * 3
    heard = [event.data for event in events if event.user_id == "u1" and event.type == "SIGNAL"]
    assert [(data["strategy"], data["strategy_key"], data["side"]) for data in heard] == [
        ("external", KEY, side) for side in ("LONG", "SHORT", "FLAT")
    ]


def test_the_same_signal_id_is_one_signal_for_ever_and_equal_content_is_one_for_a_minute() -> None:
    async def script(system: LocalSystem) -> None:
        await publish(system, "buy", signalId="1")
        await publish(system, "buy", signalId="1")
        await publish(system, "buy")  # without an id: another signal, though the followers are long already
        await publish(system, 1)  # equal content, five seconds later
        await system.clock.sleep(60)
        await publish(system, "buy")
        await publish(system, "buy", signalId="1")

    events = play(script, u1=following())
    assert [answer["duplicate"] for answer in answers(events)] == [False, True, False, True, False, True]
    ids = [str(answer["signal_id"]) for answer in answers(events)]
    assert ids[0] == ids[1] == ids[5]
    assert ids[2] == ids[3] != ids[4]
    assert [event.data["signal_id"] for event in events if event.user_id == "u1" and event.type == "SIGNAL"] == [ids[0], ids[2], ids[4]]
    assert len(sides(events, "u1")) == 1


def test_a_minute_is_counted_from_the_signal_itself_not_from_the_clocks() -> None:
    """At 09:15:59 and 09:16:03, four seconds apart on two sides of a full minute; then 61 seconds after the first."""

    async def script(system: LocalSystem) -> None:
        await system.until(datetime.combine(SESSION, time(9, 15, 59), IST))
        await publish(system, "sell")
        await publish(system, "sell")
        await system.until(datetime.combine(SESSION, time(9, 17, 0), IST))
        await publish(system, "sell")

    assert [answer["duplicate"] for answer in answers(play(script, u1=following()))] == [False, True, False]


def test_a_signal_may_name_a_contract_and_carry_its_own_stop() -> None:
    call = "NSE:BANKNIFTY26NOV52000CE"

    async def script(system: LocalSystem) -> None:
        await publish(system, "buy", symbol=call, stop=1, target="1000000.5", signalId="1")

    data = following(instrument=call, protection={"exit_mode": "SLTP"})
    events = play(script, u1=data)
    [opened] = [event.data for event in events if event.type == "POSITION_OPENED"]
    assert (opened["instrument"], opened["stop"], opened["target"]) == (call, "1.00", "1000000.50")


def test_a_signal_that_was_accepted_survives_the_death_of_the_market_data() -> None:
    async def script(system: LocalSystem) -> None:
        await publish(system, "buy", signalId="1")
        kept = await system.store.find("signals", {"strategy": "external"})
        assert [document["side"] for document in kept] == ["LONG"]
        await system.kill_market_data()
        await publish(system, "sell", signalId="2")

    events = play(script, u1=following())
    assert [answer["duplicate"] for answer in answers(events)] == [False, False]
    assert sides(events, "u1") == [("ENTRY", "BUY", FUTURE)]  # the second waits in the stream for the successor


def test_a_running_session_follows_pauses_resumes_and_leaves_a_source() -> None:
    async def script(system: LocalSystem) -> None:
        await system.send("SUBSCRIBE", "u1", subscription())
        await system.settle()
        await publish(system, "buy", signalId="1")
        await system.send("PAUSE_SUBSCRIPTION", "u1", {"subscription": KEY})
        await system.settle()
        await publish(system, "flat", signalId="2")
        await publish(system, "buy", signalId="3")
        await system.send("RESUME_SUBSCRIPTION", "u1", {"subscription": KEY})
        await system.settle()
        await publish(system, "sell", signalId="4")
        await system.send("UNSUBSCRIBE", "u1", {"subscription": KEY, "positions": "close"})
        await system.settle()
        await publish(system, "buy", signalId="5")
        await system.send("UNSUBSCRIBE", "u1", {"subscription": KEY})

    events = play(script, u1=following(source="quiet"))
    assert sides(events, "u1") == [
        ("ENTRY", "BUY", FUTURE),
        ("EXIT", "SELL", FUTURE),
        ("ENTRY", "SELL", FUTURE),
        ("EXIT", "BUY", FUTURE),
    ]
    assert [answer["subscribers"] for answer in answers(events)] == [1, 1, 1, 1, 0]
    skipped = [event.data["reason"] for event in events if event.user_id == "u1" and event.type == "SIGNAL_SKIPPED"]
    assert skipped == ["paused"]
    [refused] = [event.data for event in events if event.type == "COMMAND_REJECTED"]
    assert (refused["action"], refused["reason"]) == ("UNSUBSCRIBE", "not_subscribed")


def test_two_users_may_use_the_same_command_id() -> None:
    async def script(system: LocalSystem) -> None:
        for user in ("u1", "u2"):
            await system.send("PAUSE_TRADING", user, command_id="1")
        await system.settle()
        await system.send("PAUSE_TRADING", "u1", command_id="1")
        await system.settle()

    events = play(script, u1={}, u2={})
    paused = [(event.user_id, event.data.get("repeated", False)) for event in events if event.data.get("command_id") == "1"]
    assert paused == [("u1", False), ("u2", False), ("u1", True)]
    assert [event.user_id for event in events if event.type == "SESSION_PAUSED"] == ["u1", "u2"]
