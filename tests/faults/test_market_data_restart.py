"""A market-data actor that is started in the middle of the day shows its strategies what one of the morning shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import pytest

from actors.market_data import MarketData
from actors.market_progress import MarketProgress
from actors.virtual_time import VirtualClock, run_virtual
from actors.wire import SetStrategies, encode
from adapters.memory import MemoryBus, MemoryStore
from adapters.simulated import ScaledPacer, SimulatedFeed, SimulatedInstrumentMaster, SimulatedMarket, SimulationConfig
from runtime import channels
from runtime.market import IST, Candle, Timeframe
from runtime.signal_engine import SignalEngine, StrategySpec
from runtime.strategy import MarketContext, ParameterValue

SESSION = date(2026, 11, 20)
OPEN = datetime.combine(SESSION, time(9, 15), IST)
FRAMES = (Timeframe.M1, Timeframe.M5)


class Witness:
    """A strategy that wants nothing and remembers every candle, those of the warm-up too."""

    def __init__(self, seen: list[Candle]) -> None:
        self._seen = seen

    def on_candle(self, candle: Candle, context: MarketContext) -> None:  # noqa: ARG002 - the name is the protocol's
        self._seen.append(candle)


def candles_shown(*, resumed_at: datetime | None = None, wall_clock: datetime = OPEN) -> dict[Timeframe, list[Candle]]:
    """What strategies of each timeframe have seen when the day is over."""
    market = SimulatedMarket(SimulationConfig(sessions=(SESSION,), seed=3, ticks_per_second=1))
    underlying = market.config.underlying
    seen: dict[Timeframe, list[Candle]] = {frame: [] for frame in FRAMES}
    specs = tuple(StrategySpec(strategy=frame, instrument=underlying, timeframe=frame) for frame in FRAMES)

    def create(name: str, _: Mapping[str, ParameterValue]) -> Witness:
        return Witness(seen[Timeframe(name)])

    async def run() -> None:
        bus, clock = MemoryBus(), VirtualClock(wall_clock)
        if resumed_at is not None:
            await bus.set_key(channels.CLOCK, encode(MarketProgress(resumed_at, 1, 1)))
        await bus.append(channels.MARKET_CONTROL, encode(SetStrategies(specs=specs)), max_length=10)
        feed = SimulatedFeed(market, ScaledPacer(clock, 1.0), resume_from=resumed_at)
        await MarketData(
            bus=bus,
            store=MemoryStore(),
            clock=clock,
            feed=feed,
            master=SimulatedInstrumentMaster(market),
            calendar_of=lambda _: market.calendar,
            signals=SignalEngine(create),
            underlyings=[underlying],
            starts_at=feed.now(),
        ).run()

    run_virtual(run())
    return seen


@pytest.fixture(scope="module")
def undisturbed() -> dict[Timeframe, list[Candle]]:
    return candles_shown()


@pytest.mark.parametrize("clock", ["09:16", "10:27", "12:00", "14:59"])
def test_a_restart_in_the_middle_of_a_frame_changes_no_candle(undisturbed: dict[Timeframe, list[Candle]], clock: str) -> None:
    resumed = candles_shown(resumed_at=datetime.combine(SESSION, time.fromisoformat(clock), IST))
    for frame in FRAMES:
        today = [candle for candle in undisturbed[frame] if candle.opened_at >= OPEN]
        assert today[0].opened_at == OPEN
        assert len(today) == timedelta(minutes=375) // frame.duration
        assert [candle for candle in resumed[frame] if candle.opened_at >= OPEN] == today


def test_a_replay_does_not_depend_on_the_wall_clock(undisturbed: dict[Timeframe, list[Candle]]) -> None:
    assert candles_shown(wall_clock=OPEN.replace(year=2024)) == undisturbed
