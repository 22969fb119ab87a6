"""A day of the live runtime and a backtest of the same ticks: the same orders, fills and money, to the last digit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import pytest

from actors.local_system import LocalSystem
from actors.tick_replay import TickReplay
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import decode_input
from adapters.simulated import SimulatedFeed, SimulatedMarket, SimulationConfig
from adapters.simulated.pacing import FreePacer
from runtime.backtest.tick_trader import TickTrader
from runtime.market import IST, FeedEvent, OptionChain, Timeframe
from runtime.orders import Order, OrderFilled
from runtime.signal_engine import StrategySpec
from runtime.state import EngineState
from strategies import create

SESSION = date(2026, 11, 20)
BEFORE_OPEN = datetime.combine(SESSION, time(9, 14), IST)
WARM_UP = timedelta(days=7)


class Lived(NamedTuple):
    fills: list[OrderFilled]
    state: EngineState
    tape: list[Sequence[FeedEvent] | OptionChain]
    started_at: datetime


def market(seed: int) -> SimulatedMarket:
    return SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=seed, ticks_per_second=1))


async def lived(seed: int, settings: dict[str, Any]) -> Lived:
    """The whole system, with what its market data took in on tape."""
    tape: list[Sequence[FeedEvent] | OptionChain] = []
    async with LocalSystem(market(seed), VirtualClock(BEFORE_OPEN)) as system:
        data = system.market_data
        assert data is not None
        stream = data._feed.stream
        (book,) = [book for book in data._books.values() if book.is_index]

        async def taped() -> AsyncIterator[Sequence[FeedEvent]]:
            seen: list[OptionChain | None] = [None]
            async for batch in stream():
                if book.chain is not seen[-1] and book.chain is not None:
                    seen.append(book.chain)
                    tape.append(book.chain)
                tape.append(batch)
                yield batch

        data._feed.stream = taped  # type: ignore[method-assign]
        await system.send("START_TRADING", "u0", settings)
        await system.settle()
        (host,) = [host for host in system.placer.hosts.values() if "u0" in host.floor.traders]
        await system.play()
        inputs = [decode_input(record.input) async for record in system.journal.read("u0", after=0)]
        fills = [event for event in inputs if isinstance(event, OrderFilled)]
        return Lived(fills, host.floor.traders["u0"].state, tape, inputs[0].ts)


async def replayed(day: Lived, seed: int) -> tuple[list[OrderFilled], list[Order], EngineState]:
    fills: list[OrderFilled] = []
    orders: list[Order] = []

    def note(fill: OrderFilled, order: Order) -> None:
        fills.append(fill)
        orders.append(order)

    trader = TickTrader("u0", day.state.config, on_fill=note)
    trader.start(day.started_at)
    (subscription,) = day.state.config.subscriptions
    simulated = market(seed)
    index, future = (simulated.contracts.instrument(name) for name in (subscription.instrument, near_future(simulated)))
    spec = StrategySpec(strategy=subscription.strategy, parameters=subscription.parameters, instrument=index.id, timeframe=Timeframe.M1)
    calendar = simulated.calendar
    replay = TickReplay(trader, spec, {index.id: (index, future)}, create, calendar)
    feed = SimulatedFeed(simulated, FreePacer())
    opened = calendar.bounds(SESSION)
    assert opened is not None
    minutes, volumes = [await feed.history(name, Timeframe.M1, opened[0] - WARM_UP, opened[0]) for name in (index.id, future.id)]
    replay.warm_up(minutes, {candle.opened_at: candle.volume for candle in volumes})
    replay.run(day.tape)
    return fills, orders, trader.engine.state


def near_future(simulated: SimulatedMarket) -> str:
    return simulated.contracts.future(simulated.contracts.near_month(SESSION)).id


@pytest.mark.parametrize(("seed", "settings"), [(7, {"capital": 500_000}), (11, {"capital": 900_000, "slippage_percent": "0.1"})])
def test_a_day_lived_and_a_day_replayed_have_the_same_fills_and_money(seed: int, settings: dict[str, Any]) -> None:
    day = run_virtual(lived(seed, settings))
    fills, orders, state = run_virtual(replayed(day, seed))
    assert len(day.fills) > 6
    assert fills == day.fills  # order ids, times, quantities, prices
    assert {order.order_id for order in orders} == {fill.order_id for fill in day.fills}
    assert (state.realised_today, state.fees_today, state.trades_today) == (
        day.state.realised_today,
        day.state.fees_today,
        day.state.trades_today,
    )
    assert state.slots == day.state.slots
