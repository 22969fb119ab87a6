"""The simulated venue's market-data feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from itertools import repeat

from adapters.simulated.config import FeedSilence
from adapters.simulated.day import MarketDay
from adapters.simulated.delivery import Delivery, deliver
from adapters.simulated.market import SimulatedMarket
from adapters.simulated.pacing import Pacer
from adapters.simulated.paths import Array, Steps
from adapters.simulated.venue import SimulatedVenue, as_venue
from runtime.candles import Aggregator
from runtime.market import Candle, FeedClock, FeedEvent, FeedGap, FeedStatus, InstrumentId, Tick, Timeframe

_CHUNK_SECONDS = 300
_DELIVERIES_KEPT = 256


class SimulatedFeed:
    """`runtime.ports.Feed` of a market or venue: one batch per step of a market's grid, ticks first, then the venue's clock.

    Batches are a function of the markets and of what is subscribed: a feed that starts at `resume_from` delivers what one
    that started in the morning delivers from there on. Steps of several markets that end together are one batch. The stream
    ends with the last session.
    """

    def __init__(self, market: SimulatedMarket | SimulatedVenue, pacer: Pacer, resume_from: datetime | None = None) -> None:
        self._venue = as_venue(market)
        self._pacer = pacer
        self._subscribed: dict[InstrumentId, SimulatedMarket] = {}
        self._revision = 0
        self._closed = False
        self._now = resume_from or self._venue.opens_at()
        self._deliver = lru_cache(maxsize=_DELIVERIES_KEPT)(self._delivery)

    def now(self) -> datetime:
        """The venue's clock: the end of the newest batch."""
        return self._now

    async def subscribe(self, instruments: Sequence[InstrumentId]) -> None:
        """Raises InvalidInput for an instrument the venue does not list."""
        self._subscribed |= {instrument: self._venue.market(instrument) for instrument in instruments}
        self._revision += 1

    async def unsubscribe(self, instruments: Sequence[InstrumentId]) -> None:
        for instrument in instruments:
            self._subscribed.pop(instrument, None)
        self._revision += 1

    async def stream(self) -> AsyncIterator[Sequence[FeedEvent]]:
        walks: list[_Walk] = [walk for market in self._venue.markets if (walk := _Walk.begin(market, self._now)) is not None]
        while walks:
            ts = min([walk.due for walk in walks])
            batch = _joined([self._step(walk) for walk in walks if walk.due == ts])
            walks = [walk for walk in walks if walk.due > ts or walk.advance()]
            await self._pacer.wait_until(ts)
            if self._closed:
                return
            self._now = ts
            if batch:
                yield batch

    async def history(self, instrument: InstrumentId, timeframe: Timeframe, start: datetime, end: datetime) -> list[Candle]:
        """What the exchange's ticks make, whatever of them the feed delivered; nothing that is not closed yet."""
        market = self._venue.market(instrument)
        zone = market.calendar.zone
        until = min(end, self._now)
        if until <= start:
            return []
        day = start.astimezone(zone).date()
        last = until.astimezone(zone).date()
        candles: list[Candle] = []
        while day <= last:
            if market.calendar.times(day):
                candles += self._day_candles(market, instrument, timeframe, day)
            day = market.next_day(day)
        return [candle for candle in candles if start <= candle.opened_at < end]

    async def close(self) -> None:
        self._closed = True

    def _day_candles(self, market: SimulatedMarket, instrument: InstrumentId, timeframe: Timeframe, day: date) -> list[Candle]:
        minutes = [candle for candle in market.candles(instrument, day) if candle.closed_at <= self._now]
        if timeframe is Timeframe.M1:
            return minutes
        aggregator = Aggregator(timeframe, market.calendar.bounds_at)
        frames = [frame for minute in minutes for frame in aggregator.add(minute)]
        return frames + aggregator.advance(min(self._now, market.day(day).grid.closed_at))

    def _step(self, walk: _Walk) -> list[FeedEvent]:
        """The batch of the step that a walk stands at; batches are made ahead, until somebody subscribes."""
        if walk.step >= walk.made_to or walk.revision != self._revision:
            grid = walk.day.grid
            walk.made_from, walk.made_to = walk.step, min(walk.step + int(_CHUNK_SECONDS * grid.per_second), grid.steps)
            walk.batches, walk.revision = self._chunk(walk.market, walk.day, walk.made_from, walk.made_to), self._revision
        batch = walk.batches[walk.step - walk.made_from]
        return _silenced(batch, walk.day, walk.step, walk.silences) if walk.silences else batch

    def _chunk(self, market: SimulatedMarket, day: MarketDay, start: int, end: int) -> list[list[FeedEvent]]:
        """The batches of the steps from `start` to before `end`."""
        batches: list[list[FeedEvent]] = [[] for _ in range(start, end)]
        for instrument in [name for name, home in self._subscribed.items() if home is market]:
            delivery = self._deliver(instrument, day.date)
            first, last = delivery.arrives.searchsorted((start, end))
            for step, tick in zip(delivery.arrives[first:last].tolist(), _ticks(instrument, day, delivery, first, last), strict=True):
                batches[step - start].append(tick)
        for batch, ts in zip(batches, day.grid.times[start + 1 : end + 1], strict=True):
            batch.append(FeedClock(ts=ts))
        return batches

    def _delivery(self, instrument: InstrumentId, day: date) -> Delivery:
        market = self._subscribed[instrument]
        return deliver(market, instrument, market.day(day))


class _Walk:
    """How far the feed has come through the sessions of one market: it stands at `step` of `day`, which ends at `due`."""

    __slots__ = ("_left", "batches", "day", "due", "made_from", "made_to", "market", "revision", "silences", "step")

    def __init__(self, market: SimulatedMarket, days: Sequence[date], step: int) -> None:
        self.market = market
        self._left = list(days)
        self.revision, self.made_from, self.made_to = -1, 0, 0
        self.batches: list[list[FeedEvent]] = []
        self._enter(step)

    @classmethod
    def begin(cls, market: SimulatedMarket, now: datetime) -> _Walk | None:
        """At the first step that starts at `now` or later; None when the last session is over."""
        for index, session in enumerate(market.config.sessions):
            grid = market.day(session).grid
            step = grid.first_step(now)
            if step < grid.steps:
                return cls(market, market.config.sessions[index:], step)
        return None

    def advance(self) -> bool:
        """Go to the next step; False when the last session is over."""
        self.step += 1
        if self.step < self.day.grid.steps:
            self.due = self.day.grid.times[self.step + 1]
            return True
        if not self._left:
            return False
        self._enter(0)
        return True

    def _enter(self, step: int) -> None:
        """The next of the days that are left."""
        self.day: MarketDay = self.market.day(self._left.pop(0))
        grid = self.day.grid
        self.step, self.made_to = step, 0
        self.due: datetime = grid.times[step + 1]
        self.silences = [(*grid.window(event), event.announced) for event in self.market.config.specials(FeedSilence, grid.day)]


def _joined(batches: list[list[FeedEvent]]) -> list[FeedEvent]:
    """Batches of one moment: everybody's events, and the venue's clock once, at the end. A silence of one market silences the feed."""
    if len(batches) == 1:
        return batches[0]
    if not all(batches):
        return []
    clock = batches[0][-1]
    return [event for batch in batches for event in batch if event != clock] + [clock]


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
