"""One market-data actor for two indexes, a future and a coin: every strategy once per candle of its own, on its own calendar."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

import msgspec
import pytest

from actors.local_system import LocalSystem
from actors.virtual_time import VirtualClock, run_virtual
from adapters.simulated import SimulatedMarket, SimulatedVenue, simulation
from runtime.events import PublicEvent
from runtime.market import Candle, Timeframe

SESSION = date(2026, 11, 20)
BEFORE_OPEN = datetime(2026, 11, 20, 2, 59, tzinfo=UTC)
BANKNIFTY, NIFTY, BITCOIN = "NSE:BANKNIFTY", "NSE:NIFTY", "BTC/USDT"
FUTURE = "NSE:NIFTY26NOVFUT"
ALL_DAY = {"protection": {"square_off": None, "exit_mode": "SIGNAL_ONLY"}}


class Played(NamedTuple):
    heard: list[PublicEvent]
    evaluations: int
    signals: list[dict[str, Any]]
    hours: list[Candle]
    halves: list[Candle]


def subscription(strategy: str, instrument: str, timeframe: str, **more: Any) -> dict[str, Any]:
    return {"strategy": strategy, "instrument": instrument, "timeframe": timeframe} | more


async def play() -> Played:
    seldom = [msgspec.structs.replace(simulation(name, ticks_per_second=1), seconds_per_tick=4) for name in (BANKNIFTY, NIFTY)]
    longer = {SESSION: ((time(3), time(11)),)}  # an hour before and after the indexes, which trade from 03:45 to 10:00 UTC
    coin = msgspec.structs.replace(simulation(BITCOIN, ticks_per_second=1), seconds_per_tick=4, special_sessions=longer)
    venue = SimulatedVenue(*map(SimulatedMarket, (*seldom, coin)))
    async with LocalSystem(venue, VirtualClock(BEFORE_OPEN)) as system:
        for user in ("u0", "u1"):
            subscriptions = [subscription("index_options_scalper", BANKNIFTY, "1m"), subscription("index_options_scalper", NIFTY, "1m")]
            await system.send("START_TRADING", user, {"subscriptions": subscriptions})
        for user, instrument, timeframe, quantity in (("future", FUTURE, "30m", "65"), ("coin", BITCOIN, "1h", "0.25")):
            sizing = {"method": "fixed", "quantity": quantity}
            crossing = subscription(
                "ema_cross", instrument, timeframe, params={"fast_period": 1, "slow_period": 2}, sizing=sizing, **ALL_DAY
            )
            await system.send("START_TRADING", user, {"fees": "none", "subscriptions": [crossing]})
        await system.send("START_TRADING", "nobody", {"instrument": "NSE:SENSEX"})
        await system.settle()
        await system.play()
        assert system.market_data is not None
        day = (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
        return Played(
            heard=await system.events(),
            evaluations=system.market_data.statistics.strategy_evaluations,
            signals=await system.store.find("signals", {}),
            hours=await system.store.read_candles(BITCOIN, Timeframe.H1, *day),
            halves=await system.store.read_candles(FUTURE, Timeframe.M30, *day),
        )


@pytest.fixture(scope="module")
def day() -> Played:
    return run_virtual(play())


def test_each_strategy_runs_once_per_candle_of_its_instrument_whoever_subscribes(day: Played) -> None:
    assert day.evaluations == 375 + 375 + 13 + 8  # two indexes by the minute, a future by the half hour, a coin by the hour


def test_signals_of_each_instrument_reach_those_who_want_them_and_nobody_else(day: Played) -> None:
    heard = Counter((event.user_id, event.data["underlying"]) for event in day.heard if event.type == "SIGNAL")
    signals = Counter(document["underlying"] for document in day.signals)
    assert set(signals) == {BANKNIFTY, NIFTY, FUTURE, BITCOIN}
    assert heard == {
        **{(user, name): signals[name] for user in ("u0", "u1") for name in (BANKNIFTY, NIFTY)},
        ("future", FUTURE): signals[FUTURE],
        ("coin", BITCOIN): signals[BITCOIN],
    }


def test_options_of_both_indexes_the_future_and_the_coin_are_traded(day: Played) -> None:
    traded = {event.data["instrument"] for event in day.heard if event.type == "ORDER_FILLED"}
    assert {FUTURE, BITCOIN} <= traded
    sides = {(event.data["instrument"], event.data["side"]) for event in day.heard if event.type == "POSITION_OPENED"}
    assert {(FUTURE, "LONG"), (FUTURE, "SHORT"), (BITCOIN, "LONG"), (BITCOIN, "SHORT")} <= sides
    assert all(any(name.startswith(index) and name.endswith(("CE", "PE")) for name in traded) for index in (BANKNIFTY, NIFTY))


def test_longer_frames_are_kept_with_the_volume_of_what_is_traded(day: Played) -> None:
    assert [f"{candle.opened_at:%H:%M}" for candle in day.hours] == [f"{hour:02d}:00" for hour in range(3, 11)]
    assert len(day.halves) == 13
    assert all(candle.volume for candle in (*day.hours, *day.halves))


def test_an_instrument_that_is_not_served_is_refused_by_name(day: Played) -> None:
    (refused,) = [event for event in day.heard if event.user_id == "nobody"]
    assert (refused.type, refused.data["field"], refused.data["reason"]) == ("COMMAND_REJECTED", "data.instrument", "unknown_instrument")
    assert "NSE:BANKNIFTY" in refused.data["detail"]
