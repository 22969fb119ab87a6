from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time

from adapters.simulated import FreePacer, SimulatedFeed, SimulatedMarket, SimulationConfig
from runtime.candles import CandleBuilder
from runtime.market import IST, Candle, FeedClock, FeedEvent, InstrumentId, Tick

DAY = date(2026, 11, 20)
INDEX = "NSE:BANKNIFTY"
FUTURE = "NSE:BANKNIFTY26NOVFUT"
CALL, PUT = "NSE:BANKNIFTY26NOV52000CE", "NSE:BANKNIFTY26NOV52000PE"


def at(clock: str, day: date = DAY) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), IST)


async def streamed(
    market: SimulatedMarket, instruments: Sequence[InstrumentId], *, resume_from: datetime | None = None
) -> list[Sequence[FeedEvent]]:
    """Every batch of the feed from `resume_from` to its end."""
    feed = SimulatedFeed(market, FreePacer(), resume_from)
    await feed.subscribe(instruments)
    return [batch async for batch in feed.stream()]


def market(**config: object) -> SimulatedMarket:
    return SimulatedMarket(SimulationConfig(**config))  # type: ignore[arg-type]


def ticks_of(batches: Iterable[Sequence[FeedEvent]], instrument: InstrumentId | None = None) -> list[Tick]:
    return [event for batch in batches for event in batch if isinstance(event, Tick) and instrument in {None, event.instrument}]


def rebuilt(batches: Iterable[Sequence[FeedEvent]], instrument: InstrumentId, *, has_volume: bool = False) -> list[Candle]:
    """Candles that a consumer builds from the stream."""
    builder = CandleBuilder(instrument, has_volume=has_volume)
    closed: list[Candle | None] = []
    for batch in batches:
        for event in batch:
            if isinstance(event, Tick) and event.instrument == instrument:
                closed.append(builder.add(event))
            elif isinstance(event, FeedClock):
                closed.append(builder.advance(event.ts))
    return [candle for candle in closed if candle is not None]
