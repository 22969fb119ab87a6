"""A day traded on real processes, and backtests of what its database recorded of the market: the same to the last digit.

Ticks and option chains tell a backtest all that the hosts saw. One-minute candles tell it enough for who enters and leaves
on signals alone: live, an order that a candle's close leads to meets the quote of that moment, which is the close and ten
ticks on either side of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from actors.commands.shared import DATABASE, mongodb_url
from actors.services import build_venue
from actors.tick_replay import TickReplay
from actors.wire import decode_input
from adapters.mongo import MongoJournal, MongoStore
from adapters.simulated import FreePacer, SimulatedFeed
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, BacktestSpec, FillModel, Slippage
from runtime.backtest.run import run_backtest
from runtime.backtest.tick_trader import TickTrader
from runtime.events import EngineInput, EventType, PublicEvent, StartSession
from runtime.market import IST, Candle, FeedClock, FeedEvent, OptionChain, Tick, Timeframe
from runtime.session import SessionConfig
from runtime.signal_engine import StrategySpec
from strategies import create
from tests.cluster.whole_day import spec
from tests.command_line import NOWHERE, REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

FUTURE = "NSE:BANKNIFTY26NOVFUT"
SPREAD_TICKS = 10
"""Of the simulated future, on either side of its last price."""
STEP = timedelta(seconds=1)
CROSSING: Mapping[str, Any] = {
    "fees": "flat:0.0003",
    "risk": {"max_daily_loss": None},
    "subscriptions": [
        {
            "strategy": "ema_cross",
            "instrument": FUTURE,
            "sizing": {"method": "fixed", "quantity": 30},
            "protection": {"exit_mode": "SIGNAL_ONLY"},
        }
    ],
}
USERS: Mapping[str, Mapping[str, Any]] = {
    "scalper": {"capital": 500_000},
    "slipped": {"capital": 900_000, "slippage_percent": "0.1", "placement": "dedicated"},
    "crossing": CROSSING,
}
COMPARED = (EventType.ORDER_SUBMITTED, EventType.ORDER_FILLED, EventType.POSITION_OPENED, EventType.POSITION_CLOSED)


class Day(NamedTuple):
    """`inputs` and `events` by user as the journal has them; ticks, chains and candles as the store has them."""

    inputs: Mapping[str, Sequence[EngineInput]]
    events: Mapping[str, Sequence[PublicEvent]]
    orders: Mapping[str, Mapping[str, Any]]
    ticks: Sequence[Tick]
    chains: Sequence[OptionChain]
    candles: Sequence[Candle]

    def config(self, user: str) -> SessionConfig:
        """Of the first START: a command that was delivered again changed nothing."""
        return next(each.config for each in self.inputs[user] if isinstance(each, StartSession))

    def tape(self) -> Iterator[Sequence[FeedEvent] | OptionChain]:
        """Batches of one step each, and each chain behind the batch at whose time it was taken."""
        batches: dict[Any, list[FeedEvent]] = {}
        for tick in sorted(self.ticks, key=attrgetter("ts")):
            batches.setdefault(tick.ts, []).append(tick)
        chains = list(self.chains)
        for ts, ticks in batches.items():
            while chains and chains[0].taken_at <= ts:
                yield chains.pop(0)
            yield [*ticks, FeedClock(ts=ts + STEP)]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    state = tmp_path_factory.mktemp("parity") / "state"
    return asyncio.run(lived(state))


async def lived(state: Path) -> Day:
    program = (sys.executable, "-m", "tests.cluster.whole_day", str(state), json.dumps(USERS))
    environment = os.environ | NOWHERE | {"RAY_ADDRESS": ""}
    played = await asyncio.create_subprocess_exec(*program, cwd=REPOSITORY, env=environment, stdout=asyncio.subprocess.DEVNULL)
    assert await played.wait() == 0
    return await books(state)


async def books(state: Path) -> Day:
    with ExitStack() as stack:
        url = await asyncio.to_thread(mongodb_url, state, stack)
        journal, store = MongoJournal(url, DATABASE), MongoStore(url, DATABASE)
        records = {user: [record async for record in journal.read(user)] for user in USERS}
        venue = build_venue(spec(str(state)))
        (session,) = venue.markets[0].config.sessions
        bounds = venue.markets[0].calendar.bounds(session)
        assert bounds is not None
        found = Day(
            inputs={user: [decode_input(record.input) for record in kept] for user, kept in records.items()},
            events={
                user: [msgspec.json.decode(event, type=PublicEvent) for record in kept for event in record.events]
                for user, kept in records.items()
            },
            orders={document["_id"]: document for document in await store.find("orders", {})},
            ticks=[tick for document in await store.find("ticks", {}, sort="ts") for tick in _ticks(document)],
            chains=[msgspec.json.decode(each["chain"], type=OptionChain) for each in await store.find("option_chains", {}, sort="ts")],
            candles=await store.read_candles(FUTURE, Timeframe.M1, *bounds),
        )
        await journal.close()
        await store.close()
        return found


def _ticks(document: Mapping[str, Any]) -> Iterator[Tick]:
    for milliseconds, price, volume, bid, ask in document["rows"]:
        ts = document["ts"] + timedelta(milliseconds=milliseconds)
        yield Tick(instrument=document["instrument"], ts=ts, price=price, volume=volume, bid=bid, ask=ask)


async def replayed(day: Day, user: str, state: Path) -> list[PublicEvent]:
    heard: list[PublicEvent] = []
    config = day.config(user)
    (subscription,) = config.subscriptions
    trader = TickTrader(user, config, on_event=heard.append)
    trader.start(day.inputs[user][0].ts)
    market = build_venue(spec(str(state))).markets[0]
    future = market.contracts.instrument(FUTURE)
    traded = market.contracts.instrument(subscription.instrument)
    lender = future if traded is market.contracts.underlying else None
    strategy = StrategySpec(strategy=subscription.strategy, parameters=subscription.parameters, instrument=traded.id)
    replay = TickReplay(trader, strategy, {traded.id: (traded, lender)}, create, market.calendar)
    replay.warm_up(await history(market, traded.id), {each.opened_at: each.volume for each in await history(market, FUTURE)})
    replay.run(day.tape())
    return heard


async def history(market: Any, instrument: str) -> list[Candle]:
    """What warmed the strategies up: a week before the open, from the venue."""
    opened, _ = market.calendar.bounds(market.config.sessions[0])
    return await SimulatedFeed(market, FreePacer()).history(instrument, Timeframe.M1, opened - timedelta(days=7), opened)


def told(events: Sequence[PublicEvent]) -> list[dict[str, object]]:
    """Orders, fills and positions as the user hears of them: ids, sides, quantities, prices, reasons, fees and P&L."""
    return [{"type": event.type, "ts": event.ts, **event.data} for event in events if event.type in COMPARED]


@pytest.mark.parametrize("user", USERS)
async def test_a_day_on_real_processes_and_a_backtest_of_its_ticks_are_the_same(day: Day, user: str, tmp_path: Path) -> None:
    lived = told(day.events[user])
    assert sum(each["type"] is EventType.POSITION_CLOSED for each in lived) > 3
    assert told(await replayed(day, user, tmp_path)) == lived


def test_a_backtest_of_the_recorded_candles_has_the_orders_of_the_day(day: Day, tmp_path: Path) -> None:
    market = build_venue(spec(str(tmp_path))).markets[0]
    past = asyncio.run(history(market, FUTURE))
    candles = [*past, *day.candles]
    prices = [[each.open, each.high, each.low, each.close] for each in candles]
    opened_at = [int(each.opened_at.timestamp()) for each in candles]
    config = day.config("crossing")
    asked = BacktestSpec(
        session=config,
        user_id="crossing",
        instrument=market.contracts.instrument(FUTURE),
        start=market.config.sessions[0],
        fill=FillModel.CLOSE,
        slippage=Slippage(ticks=SPREAD_TICKS),
    )
    fills: list[tuple[Any, ...]] = []
    result = run_backtest(
        asked,
        CandleArray.of(FUTURE, Timeframe.M1, IST, np.array(opened_at), np.array(prices)),
        create("ema_cross", {}),
        calendar=market.calendar,
        on_fill=lambda fill, order: fills.append((order.order_id, order.side, order.leg, str(fill.quantity), str(fill.price), fill.ts)),
    )
    assert fills == [
        (str(data["order_id"]), data["side"], data["leg"], data["quantity"], data["price"], event.ts)
        for event in day.events["crossing"]
        if event.type is EventType.ORDER_FILLED
        for data in [day.orders[str(event.data["order_id"])] | event.data]
    ]
    closed = [event.data for event in day.events["crossing"] if event.type is EventType.POSITION_CLOSED]
    assert len(closed) > 3
    assert money(result) == [(float(str(each["realised_pnl"])), float(str(each["fees"])), each["exit_reason"]) for each in closed]


def money(result: BacktestResult) -> list[tuple[float, float, object]]:
    return [(trade.gross, trade.fees, trade.exit_reason) for trade in result.trades]
