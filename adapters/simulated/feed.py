"""The simulated venue's market-data feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import repeat

from adapters.simulated.config import FeedSilence
from adapters.simulated.day import MarketDay
from adapters.simulated.delivery import Delivery, deliver
from adapters.simulated.market import SimulatedMarket
from adapters.simulated.pacing import Pacer
from adapters.simulated.paths import Array, Steps
from runtime.candles import Aggregator
from runtime.market import Candle, FeedClock, FeedEvent, FeedGap, FeedStatus, InstrumentId, Tick, Timeframe

_CHUNK_SECONDS = 300
_DELIVERIES_KEPT = 256


class SimulatedFeed:
    """`runtime.ports.Feed` of a `SimulatedMarket`: one batch per step of its grid, ticks first, then the venue's clock.

    Batches are a function of the market and of what is subscribed: a feed that starts at `resume_from` delivers what one
    that started in the morning delivers from there on. The stream ends with the last session.
    """

    def __init__(self, market: SimulatedMarket, pacer: Pacer, resume_from: datetime | None = None) -> None:
        self._market = market
        self._pacer = pacer
        self._subscribed: dict[InstrumentId, None] = {}
        self._revision = 0
        self._closed = False
        self._now = resume_from or market.day(market.config.sessions[0]).grid.opened_at
        self._deliver = lru_cache(maxsize=_DELIVERIES_KEPT)(self._delivery)

    def now(self) -> datetime:
        """The venue's clock: the end of the newest batch."""
        return self._now

    async def subscribe(self, instruments: Sequence[InstrumentId]) -> None:
        """Raises InvalidInput for an instrument the venue does not list."""
        for instrument in instruments:
            self._market.contracts.instrument(instrument)
        self._subscribed |= dict.fromkeys(instruments)
        self._revision += 1

    async def unsubscribe(self, instruments: Sequence[InstrumentId]) -> None:
        for instrument in instruments:
            self._subscribed.pop(instrument, None)
        self._revision += 1

    async def stream(self) -> AsyncIterator[Sequence[FeedEvent]]:
        for session in self._market.config.sessions:
            for ts, batch in self._batches(session):
                await self._pacer.wait_until(ts)
                if self._closed:
                    return
                self._now = ts
                if batch:
                    yield batch

    async def history(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        """What the exchange's ticks make, whatever of them the feed delivered; nothing that is not closed yet."""
        zone = self._market.calendar.zone
        until = min(end, self._now)
        if until <= start:
            return []
        day = start.astimezone(zone).date()
        last = until.astimezone(zone).date()
        candles: list[Candle] = []
        while day <= last:
            if self._market.calendar.times(day):
                candles += self._day_candles(instrument, timeframe, day)
            day = self._market.next_day(day)
        return [candle for candle in candles if start <= candle.opened_at < end]

    async def close(self) -> None:
        self._closed = True

    def _day_candles(self, instrument: InstrumentId, timeframe: Timeframe, day: date) -> list[Candle]:
        minutes = [candle for candle in self._market.candles(instrument, day) if candle.closed_at <= self._now]
        if timeframe is Timeframe.M1:
            return minutes
        aggregator = Aggregator(timeframe, self._market.calendar.bounds_at)
        frames = [frame for minute in minutes for frame in aggregator.add(minute)]
        return frames + aggregator.advance(min(self._now, self._market.day(day).grid.closed_at))

    def _batches(self, session: date) -> Iterator[tuple[datetime, list[FeedEvent]]]:
        """(end of step, batch) from the venue's clock on; an empty batch is one that the feed keeps silent about."""
        day = self._market.day(session)
        grid = day.grid
        step = grid.first_step(self._now)
        silences = [(*grid.window(event), event.announced) for event in self._market.config.specials(FeedSilence, session)]
        while step < grid.steps:
            end = min(step + int(_CHUNK_SECONDS * grid.per_second), grid.steps)
            revision = self._revision
            for offset, batch in enumerate(self._chunk(day, step, end)):
                yield grid.times[step + offset + 1], _silenced(batch, day, step + offset, silences)
                if self._revision != revision:
                    end = step + offset + 1
                    break
            step = end

    def _chunk(self, day: MarketDay, start: int, end: int) -> list[list[FeedEvent]]:
        """The batches of the steps from `start` to before `end`."""
        batches: list[list[FeedEvent]] = [[] for _ in range(start, end)]
        for instrument in self._subscribed:
            delivery = self._deliver(instrument, day.date)
            first, last = delivery.arrives.searchsorted((start, end))
            for step, tick in zip(delivery.arrives[first:last].tolist(), _ticks(instrument, day, delivery, first, last), strict=True):
                batches[step - start].append(tick)
        for batch, ts in zip(batches, day.grid.times[start + 1 : end + 1], strict=True):
            batch.append(FeedClock(ts=ts))
        return batches

    def _delivery(self, instrument: InstrumentId, day: date) -> Delivery:
        return deliver(self._market, instrument, self._market.day(day))


def _ticks(instrument: InstrumentId, day: MarketDay, delivery: Delivery, first: int, last: int) -> list[Tick]:
    ticks, source, times = delivery.ticks, delivery.source[first:last], day.grid.times
    steps: list[int] = ticks.steps[source].tolist()
    prices: list[float] = ticks.price[source].tolist()
    columns = zip(steps, prices, _column(ticks.volume, source), _column(ticks.bid, source), _column(ticks.ask, source), strict=False)
    return [
        Tick(instrument=instrument, ts=times[step], price=price, volume=volume, bid=bid, ask=ask)
        for step, price, volume, bid, ask in columns
    ]


def _column(values: Array | None, source: Steps) -> Iterable[float | None]:
    return repeat(None) if values is None else values[source].tolist()


def _silenced(batch: list[FeedEvent], day: MarketDay, step: int, silences: list[tuple[int, int, bool]]) -> list[FeedEvent]:
    """The batch as it gets through; the first one after a silence begins with the gap."""
    times = day.grid.times
    for first, end, announced in silences:
        if step == first and announced:
            return [FeedStatus(ts=times[step], up=False, reason="connection lost")]
        if first <= step < end:
            return []
        if step == end:
            gap: list[FeedEvent] = [FeedGap(start=times[first], end=times[end], reason="no data from the venue")]
            up: list[FeedEvent] = [FeedStatus(ts=times[end], up=True, reason="connected again")] if announced else []
            batch = up + gap + batch
    return batch
