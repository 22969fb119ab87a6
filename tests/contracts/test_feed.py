"""What every `Feed` promises, and what one over a socket promises when the socket fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from adapters.clock import WallClock
from adapters.simulated import FreePacer, SimulatedFeed, SimulatedMarket, SimulationConfig
from runtime.errors import InvalidInput
from runtime.market import Candle, FeedClock, FeedEvent, FeedGap, FeedStatus, Tick, Timeframe
from runtime.ports import Feed
from tests.builders import at
from tests.contracts.broker_rigs import UpstoxRig

INDEX, FUTURE, CALL = "NSE:BANKNIFTY", "NSE:BANKNIFTY26NOVFUT", "NSE:BANKNIFTY26NOV52000CE"
DAY = date(2026, 11, 20)
PATIENCE_SECONDS = 60.0


class Reader:
    """Collects what a feed says."""

    def __init__(self, feed: Feed) -> None:
        self.all: list[FeedEvent] = []
        self._task = asyncio.create_task(self._read(feed))

    async def _read(self, feed: Feed) -> None:
        async for batch in feed.stream():
            self.all.extend(batch)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.all if isinstance(event, kind)]

    def ticks(self, instrument: str) -> list[Tick]:
        return [tick for tick in self.of(Tick) if tick.instrument == instrument]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Ready(NamedTuple):
    feed: Feed
    now: Callable[[], datetime]
    advance: Callable[[], Any]


@asynccontextmanager
async def simulated() -> AsyncIterator[Ready]:
    market = SimulatedMarket(SimulationConfig(sessions=(DAY,)))
    feed = SimulatedFeed(market, FreePacer(), resume_from=at("10:00"))

    async def advance() -> None:
        """It moves by being read."""

    yield Ready(feed, feed.now, advance)
    await feed.close()


@asynccontextmanager
async def upstox(**options: Any) -> AsyncIterator[Ready]:
    async with UpstoxRig() as rig:
        feed = make_feed(rig, **options)
        yield Ready(feed, rig.now, rig.advance)
        await feed.close()


def make_feed(rig: UpstoxRig, **options: Any) -> Any:
    from adapters.feeds.upstox import UpstoxFeed

    return UpstoxFeed(rig.client("U1"), rig.table, VenueTime(rig.now), venue_speed=None, **({"jitter": lambda: 0.05} | options))


class VenueTime(WallClock):
    """The venue's day is not ours."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now  # type: ignore[method-assign]


@pytest.fixture(params=[simulated, upstox], ids=["simulated", "upstox"])
async def ready(request: pytest.FixtureRequest) -> AsyncIterator[Ready]:
    async with request.param() as made:
        yield made


async def eventually(what: Callable[[], object], advance: Callable[[], Any] | None = None) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not what():
            if advance is not None:
                await advance()
            await asyncio.sleep(0.01)


# --- every feed ---


async def test_ticks_of_what_is_subscribed_come_with_the_venues_clock(ready: Ready) -> None:
    await ready.feed.subscribe([INDEX, FUTURE, CALL])
    reader = Reader(ready.feed)
    await eventually(lambda: all(len(reader.ticks(name)) > 5 for name in (INDEX, FUTURE, CALL)), ready.advance)
    await reader.close()
    clocks = [clock.ts for clock in reader.of(FeedClock)]
    assert clocks == sorted(set(clocks))
    assert {tick.volume for tick in reader.ticks(INDEX)} == {None}
    assert all(tick.volume is not None and tick.volume >= 0 for tick in reader.ticks(FUTURE))
    assert all(tick.bid and tick.ask and tick.bid <= tick.ask for tick in reader.ticks(CALL))


async def test_what_is_unsubscribed_falls_silent(ready: Ready) -> None:
    await ready.feed.subscribe([INDEX, CALL])
    reader = Reader(ready.feed)
    await eventually(lambda: reader.ticks(CALL), ready.advance)
    await ready.feed.unsubscribe([CALL])
    await eventually(lambda: len(reader.ticks(INDEX)) > 3, ready.advance)
    before, index = len(reader.ticks(CALL)), len(reader.ticks(INDEX))
    await eventually(lambda: len(reader.ticks(INDEX)) > index + 5, ready.advance)
    assert len(reader.ticks(CALL)) - before <= 2  # what was on its way
    await reader.close()


async def test_an_instrument_that_is_not_listed_is_refused(ready: Ready) -> None:
    with pytest.raises(InvalidInput):
        await ready.feed.subscribe(["NSE:NOWHERE"])


async def test_history_ascends_without_gap_or_repeat_and_leaves_out_what_is_not_closed(ready: Ready) -> None:
    """From Thursday's open into Friday's first 45 minutes: 375 and 45 minutes, the one under way not among them."""
    candles = await ready.feed.history(INDEX, Timeframe.M1, at("09:15", date(2026, 11, 19)), at("15:30"))
    opened = [candle.opened_at for candle in candles]
    assert opened == sorted(set(opened))
    assert len(opened) == 375 + 45
    assert (opened[0], opened[-1]) == (at("09:15", date(2026, 11, 19)), at("09:59"))
    assert all(candle.volume is None for candle in candles)


async def test_history_begins_at_its_start_and_ends_before_its_end(ready: Ready) -> None:
    candles = await ready.feed.history(FUTURE, Timeframe.M1, at("09:20"), at("09:25"))
    assert [candle.opened_at for candle in candles] == [at(f"09:2{minute}") for minute in range(5)]
    assert all(candle.volume for candle in candles)
    assert await ready.feed.history(FUTURE, Timeframe.M1, at("09:25"), at("09:25")) == []


async def test_history_of_a_holiday_is_empty(ready: Ready) -> None:
    saturday = date(2026, 11, 14)
    assert await ready.feed.history(INDEX, Timeframe.M1, at("09:15", saturday), at("15:30", saturday)) == []


# --- over a socket ---


@pytest.fixture
async def rig() -> AsyncIterator[UpstoxRig]:
    async with UpstoxRig() as made:
        yield made


def faults() -> Any:
    from tests.venues.upstox import faults as module

    return module


@pytest.mark.parametrize("code", [1006, 1011, 1000])
async def test_any_end_of_the_socket_is_an_outage_with_a_gap_after_it(code: int, rig: UpstoxRig) -> None:
    feed = make_feed(rig)
    await feed.subscribe([INDEX, CALL])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(CALL), rig.advance)
    down_at = rig.now()
    rig.venue.faults.add(faults().FeedClose(code=code))
    await eventually(lambda: any(not status.up for status in reader.of(FeedStatus)))
    await eventually(lambda: reader.of(FeedGap), rig.advance)
    await eventually(lambda: reader.of(FeedStatus)[-1].up, rig.advance)
    (gap,) = reader.of(FeedGap)
    assert gap.start <= down_at <= gap.end <= rig.now()
    assert gap.start.second == 0  # a whole minute, so that history can fill it
    assert feed.health.connects == 2
    await reader.close()
    await feed.close()


async def test_changes_made_while_the_socket_is_down_are_in_the_next_subscription_exactly(rig: UpstoxRig) -> None:
    feed = make_feed(rig)
    await feed.subscribe([INDEX, CALL])
    rig.venue.faults.add(faults().FeedRefusal(status=503, times=3))
    reader = Reader(feed)
    await eventually(lambda: feed.health.refused >= 1)
    await feed.unsubscribe([CALL])
    await feed.subscribe([FUTURE])
    await eventually(lambda: reader.ticks(FUTURE) and reader.ticks(INDEX), rig.advance)
    assert set(rig.venue.core.feed.subscriptions("U1")) == {rig.table.key(INDEX), rig.table.key(FUTURE)}
    assert reader.ticks(CALL) == []
    await reader.close()
    await feed.close()


async def test_a_refused_token_is_not_tried_again_until_there_is_a_new_one(rig: UpstoxRig) -> None:
    feed = make_feed(rig)
    await feed.subscribe([INDEX])
    rig.venue.core.inject([faults().ExpireTokens(feeds=True)])
    reader = Reader(feed)
    await eventually(lambda: feed.health.state == "AUTH_EXPIRED")
    await asyncio.sleep(0.5)
    assert feed.health.refused == 1
    assert reader.of(FeedStatus)[-1].reason.startswith("AUTH_EXPIRED")

    core = rig.venue.core
    core.accounts.log_in(core.accounts.by_id["U1"], core.clock.now)
    feed._client.token.renew(rig.venue.token("U1"))
    await eventually(lambda: reader.ticks(INDEX), rig.advance)
    await reader.close()
    await feed.close()


async def test_a_long_outage_is_waited_out_without_giving_up(rig: UpstoxRig) -> None:
    """More refusals than any client with a retry limit would survive."""
    feed = make_feed(rig, jitter=lambda: 0.001)
    await feed.subscribe([INDEX])
    rig.venue.faults.add(faults().FeedRefusal(status=503, times=40))
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(INDEX), rig.advance)
    assert feed.health.refused == 40
    await reader.close()
    await feed.close()


async def test_a_socket_that_stays_open_and_says_nothing_is_found_by_the_age_of_its_data(rig: UpstoxRig) -> None:
    feed = make_feed(rig, stale_seconds=0.6)
    await feed.subscribe([INDEX])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(INDEX), rig.advance)
    rig.venue.faults.add(faults().FeedSilence(seconds=3600))
    await eventually(lambda: not reader.of(FeedStatus)[-1].up)
    assert reader.of(FeedStatus)[-1].reason == "no data although the market is open"
    await reader.close()
    await feed.close()


async def test_silence_of_a_closed_market_is_no_fault(rig: UpstoxRig) -> None:
    feed = make_feed(rig, stale_seconds=0.3)
    await feed.subscribe([INDEX])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(INDEX), rig.advance)
    await rig.venue.advance_to(at("15:31"))
    await eventually(lambda: not feed.decoder.is_open)
    connects = feed.health.connects
    await asyncio.sleep(1.5)
    assert (feed.health.connects, reader.of(FeedStatus)[-1].up) == (connects, True)
    await reader.close()
    await feed.close()


async def test_a_torn_frame_is_counted_and_passed_over(rig: UpstoxRig) -> None:
    feed = make_feed(rig)
    await feed.subscribe([INDEX])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(INDEX), rig.advance)
    rig.venue.faults.add(faults().MalformedFrame())
    await eventually(lambda: feed.health.malformed == 1, rig.advance)
    seen = len(reader.ticks(INDEX))
    await eventually(lambda: len(reader.ticks(INDEX)) > seen, rig.advance)
    assert feed.health.connects == 1
    await reader.close()
    await feed.close()


@pytest.mark.parametrize("how", ["duplicate", "reorder"])
async def test_frames_that_are_doubled_or_out_of_order_give_each_trade_once_and_no_step_back(how: str, rig: UpstoxRig) -> None:
    feed = make_feed(rig)
    await feed.subscribe([FUTURE])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(FUTURE), rig.advance)
    rig.venue.faults.add(faults().FeedTicks(how=how, times=10))
    await eventually(lambda: len(reader.ticks(FUTURE)) > 25, rig.advance)
    await reader.close()
    await feed.close()
    times = [tick.ts for tick in reader.ticks(FUTURE)]
    assert times == sorted(times)
    assert feed.decoder.duplicates + feed.decoder.reordered > 0


async def test_a_slow_reader_gets_the_newest_price_and_all_of_the_volume(rig: UpstoxRig) -> None:
    feed = make_feed(rig, backlog_max=20)
    await feed.subscribe([FUTURE])
    batches = feed.stream()
    first = await anext(batches)
    assert first
    for _ in range(80):
        await rig.advance()
    await eventually(lambda: feed.health.dropped > 0, rig.advance)
    await asyncio.sleep(0.1)
    batch = [*first, *await anext(batches)]
    ticks = [event for event in batch if isinstance(event, Tick)]
    assert len(batch) < 40
    quote = rig.venue.core.market.snapshot(rig.venue.core.listing.of(FUTURE), rig.now())
    assert ticks[-1].price == quote.price
    await feed.close()


async def test_more_instruments_than_a_connection_may_follow_are_refused_and_nothing_changes(rig: UpstoxRig) -> None:
    feed = make_feed(rig, mode="full_d30")
    names = [f"NSE:BANKNIFTY26NOV{strike}{right}" for strike in range(49000, 55100, 100) for right in ("CE", "PE")]
    with pytest.raises(InvalidInput, match="at most 50"):
        await feed.subscribe(names)
    await feed.subscribe(names[:50])
    await feed.close()


async def test_long_history_is_asked_for_in_spans_without_gap_or_overlap(rig: UpstoxRig) -> None:
    """Ten weeks of minutes are more than a month per request; each day asked for once."""
    feed = make_feed(rig)
    start = at("09:15") - timedelta(days=70)
    candles: list[Candle] = await feed.history(INDEX, Timeframe.M15, start, at("10:00"))
    opened = [candle.opened_at for candle in candles]
    assert opened == sorted(set(opened))
    paths = [call.path for call in rig.venue.core.journal.calls if "/historical-candle/" in call.path and "intraday" not in call.path]
    spans = sorted((path.split("/")[-1], path.split("/")[-2]) for path in paths)
    assert len(spans) == 3
    for (_, until), (since, _) in pairwise(spans):
        assert date.fromisoformat(since) - date.fromisoformat(until) == timedelta(days=1)
    await feed.close()
