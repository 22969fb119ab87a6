"""One of two indexes is halted for half an hour: who follows it hears of it, entries on it stop, and the other one goes on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import msgspec
import pytest

from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import decode_prices
from adapters.simulated import SimulatedMarket, SimulatedVenue, simulation
from adapters.simulated.config import Halt
from runtime import channels
from runtime.events import PublicEvent
from runtime.market import IST, Prices

SESSION = date(2026, 11, 20)
BANKNIFTY, NIFTY, FUTURE = "NSE:BANKNIFTY", "NSE:NIFTY", "NSE:NIFTY26NOVFUT"
MORNING = {SESSION: ((time(9, 15), time(11, 0)),)}


class Played(NamedTuple):
    prices: list[Prices]
    heard: list[PublicEvent]


def at(clock: str) -> datetime:
    return datetime.combine(SESSION, time.fromisoformat(clock), IST)


async def play(halted: Iterable[str]) -> Played:
    def market(name: str) -> SimulatedMarket:
        special = (Halt(start=time(10), minutes=30),) if name in halted else ()
        config = msgspec.structs.replace(
            simulation(name, ticks_per_second=1), seconds_per_tick=4, special=special, special_sessions=MORNING
        )
        return SimulatedMarket(config)

    prices: list[Prices] = []
    async with LocalSystem(
        SimulatedVenue(market(BANKNIFTY), market(NIFTY)), VirtualClock(datetime(2026, 11, 20, 3, 44, tzinfo=UTC))
    ) as system:

        async def listen() -> None:
            async with system.bus.subscribe(channels.PRICES) as messages:
                async for _, payload in messages:
                    prices.append(decode_prices(payload))

        async def late() -> None:
            await system.until(at("10:09"))  # of a clock that is a minute behind the venue's
            await start("late", NIFTY)

        async def start(user: str, *instruments: str) -> None:
            subscriptions = [{"strategy": "index_options_scalper", "instrument": name, "timeframe": "1m"} for name in instruments]
            await system.send("START_TRADING", user, {"subscriptions": subscriptions})

        for user, instruments in (("bank", (BANKNIFTY,)), ("nifty", (NIFTY,)), ("both", (BANKNIFTY, NIFTY))):
            await start(user, *instruments)
        await system.settle()
        system.spawn(listen())
        system.spawn(late())
        await system.play()
        return Played(prices, await system.events())


def feed_news(played: Played, user: str) -> list[tuple[str, str, Any]]:
    """(minute, type, instrument) of what a user hears of his market data."""
    told = [event for event in played.heard if event.user_id == user and event.type.startswith("FEED_")]
    return [(f"{event.ts:%H:%M}", str(event.type), event.data.get("instrument")) for event in told]


@pytest.fixture(scope="module")
def one() -> Played:
    return run_virtual(play([NIFTY]))


def test_the_market_data_names_the_silent_one_after_fifteen_seconds_and_stays_up(one: Played) -> None:
    assert all(prices.feed_up for prices in one.prices)
    silent = [prices.ts for prices in one.prices if prices.silent]
    assert {prices.silent for prices in one.prices} == {(), (NIFTY,), (NIFTY, FUTURE)}  # the future after two minutes
    assert at("10:00:10") < silent[0] <= at("10:00:20")
    assert at("10:29:50") < silent[-1] <= at("10:30:10")


def test_only_who_follows_it_hears_of_it_also_one_who_begins_in_the_middle(one: Played) -> None:
    gone_and_back = [("10:00", "FEED_DOWN", NIFTY), ("10:30", "FEED_UP", NIFTY)]
    assert feed_news(one, "bank") == []
    assert feed_news(one, "nifty") == feed_news(one, "both") == gone_and_back
    assert feed_news(one, "late") == [("10:10", "FEED_DOWN", NIFTY), ("10:30", "FEED_UP", NIFTY)]


def test_the_other_index_is_traded_as_if_nothing_were(one: Played) -> None:
    undisturbed = run_virtual(play([]))

    def trades(played: Played) -> list[tuple[Any, ...]]:
        kinds = {"SIGNAL", "SIGNAL_SKIPPED", "ORDER_SUBMITTED", "ORDER_FILLED", "POSITION_CLOSED"}
        return [(event.type, event.ts, event.data) for event in played.heard if event.user_id == "bank" and event.type in kinds]

    assert trades(one) == trades(undisturbed)
    during = [event for event in one.heard if event.user_id == "bank" and at("10:01") < event.ts < at("10:30")]
    assert any(event.type == "ORDER_SUBMITTED" and event.data["leg"] == "ENTRY" for event in during)


def test_with_all_of_them_silent_there_is_no_market_data() -> None:
    played = run_virtual(play([BANKNIFTY, NIFTY]))
    assert {prices.silent for prices in played.prices} == {()}
    for user in ("bank", "nifty", "both"):
        assert feed_news(played, user) == [("10:00", "FEED_DOWN", None), ("10:30", "FEED_UP", None)]
