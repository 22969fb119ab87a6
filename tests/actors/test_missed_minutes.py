"""A feed that falls silent in the middle of a minute: strategies see whole minutes, from history, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, time, timedelta

import pytest

from actors.market_data import MarketData
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SetStrategies, encode
from adapters.memory import MemoryBus, MemoryStore
from adapters.simulated import SimulatedFeed, SimulatedInstrumentMaster, SimulatedMarket, SimulationConfig
from runtime import channels
from runtime.errors import BrokerUnavailable
from runtime.market import IST, Candle, FeedClock, FeedEvent, FeedGap, InstrumentId, Tick, Timeframe
from runtime.signal_engine import SignalEngine, StrategySpec
from runtime.strategy import MarketContext

SESSION = date(2026, 11, 20)
MARKET = SimulatedMarket(SimulationConfig(seed=3, ticks_per_second=1, special_sessions={SESSION: ((time(9, 15), time(9, 30)),)}))
BANKNIFTY = "NSE:BANKNIFTY"


def at(clock: str) -> datetime:
    return datetime.combine(SESSION, time.fromisoformat(clock), IST)


class Pacer:
    async def wait_until(self, ts: datetime) -> None:
        del ts
        await asyncio.sleep(0)


class SilentFeed(SimulatedFeed):
    """Says nothing in a span of time, and what it missed when it is back. `has_history`: whether the venue answers then."""

    def __init__(self, start: datetime, end: datetime, *, has_history: bool) -> None:
        super().__init__(MARKET, Pacer())
        self._start, self._end, self._has_history = start, end, has_history

    async def stream(self) -> AsyncIterator[Sequence[FeedEvent]]:
        was_silent = False
        async for batch in super().stream():
            if any(isinstance(event, Tick | FeedClock) and self._start <= event.ts < self._end for event in batch):
                was_silent = True
                continue
            gap = [FeedGap(start=self._start.replace(second=0), end=self._end, reason="cut")] if was_silent else []
            was_silent = False
            yield [*gap, *batch]

    async def history(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        if start >= self._start.replace(second=0) and not self._has_history:
            raise BrokerUnavailable("no answer")
        return await super().history(instrument, timeframe, start, end)


class Recorder:
    """A strategy that remembers what it is shown."""

    name = "recorder"

    def __init__(self) -> None:
        self.seen: list[tuple[Candle, float | None]] = []

    def on_candle(self, candle: Candle, context: MarketContext) -> None:
        self.seen.append((candle, context.volume))


def shown(start: str, end: str, *, has_history: bool = True) -> list[tuple[Candle, float | None]]:
    """Every minute of the session that a strategy on the index sees, with its volume, when the feed is silent in between."""
    recorder = Recorder()

    async def play() -> None:
        bus, feed = MemoryBus(), SilentFeed(at(start), at(end), has_history=has_history)
        specs = (StrategySpec(strategy="recorder", instrument=BANKNIFTY, parameters={}),)
        await bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=specs)), max_length=10)
        actor = MarketData(
            bus=bus,
            store=MemoryStore(),
            clock=VirtualClock(at("09:15")),
            feed=feed,
            master=SimulatedInstrumentMaster(MARKET),
            calendar_of=lambda _: MARKET.calendar,
            signals=SignalEngine(lambda _name, _parameters: recorder),
            underlyings=[BANKNIFTY],
            starts_at=feed.now(),
        )
        await actor.run()

    run_virtual(play())
    return [seen for seen in recorder.seen if seen[0].opened_at >= at("09:15")]  # the days before are its warm-up


@pytest.fixture(scope="module")
def undisturbed() -> list[tuple[Candle, float | None]]:
    return shown("09:00", "09:00")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("09:20:20", "09:23:10"),
        ("09:20:20", "09:20:40"),
        ("09:20:59", "09:21:01"),
        ("09:20:00", "09:22:00"),
        ("09:15:30", "09:28:30"),
    ],
    ids=["over three minutes", "inside a minute", "over a minute's end", "whole minutes", "nearly all"],
)
def test_after_a_silence_strategies_have_seen_the_minutes_that_they_would_have_seen(
    start: str, end: str, undisturbed: list[tuple[Candle, float | None]]
) -> None:
    assert len(undisturbed) == 15
    assert shown(start, end) == undisturbed


def test_a_minute_seen_in_part_is_left_out_when_history_cannot_be_read(undisturbed: list[tuple[Candle, float | None]]) -> None:
    whole = [seen for seen in undisturbed if not at("09:20") <= seen[0].opened_at < at("09:24")]
    assert shown("09:20:20", "09:23:10", has_history=False) == whole


def test_a_gap_that_begins_in_a_minute_seen_already_shows_nothing_twice(undisturbed: list[tuple[Candle, float | None]]) -> None:
    minutes = [candle.opened_at for candle, _ in shown("09:20:00", "09:20:02")]
    assert minutes == [candle.opened_at for candle, _ in undisturbed]
    assert minutes == [at("09:15") + timedelta(minutes=number) for number in range(15)]
