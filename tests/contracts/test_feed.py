"""What every `Feed` promises, and what one over a socket promises when the socket fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

import pytest

from runtime.errors import InvalidInput
from runtime.market import Candle, FeedClock, FeedEvent, FeedGap, FeedStatus, Tick, Timeframe
from runtime.ports import Feed
from tests.builders import at
from tests.contracts.rig import NetworkRig, Rig, eventually

CALL = "NSE:BANKNIFTY26NOV52000CE"


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
    rig: Rig


@pytest.fixture
async def ready(rig: Rig) -> AsyncIterator[Ready]:
    feed = rig.feed()
    yield Ready(feed, rig)
    await feed.close()


# --- every feed ---


async def test_ticks_of_what_is_subscribed_come_with_the_venues_clock(ready: Ready) -> None:
    await ready.feed.subscribe([ready.rig.index, ready.rig.future, CALL])
    reader = Reader(ready.feed)
    await eventually(lambda: all(len(reader.ticks(name)) > 5 for name in (ready.rig.index, ready.rig.future, CALL)), ready.rig.advance)
    await reader.close()
    clocks = [clock.ts for clock in reader.of(FeedClock)]
    assert clocks == sorted(set(clocks))
    assert {tick.volume for tick in reader.ticks(ready.rig.index)} == {None}
    assert all(tick.volume is not None and tick.volume >= 0 for tick in reader.ticks(ready.rig.future))
    assert all(tick.bid and tick.ask and tick.bid <= tick.ask for tick in reader.ticks(CALL))


async def test_what_is_unsubscribed_falls_silent(ready: Ready) -> None:
    await ready.feed.subscribe([ready.rig.index, CALL])
    reader = Reader(ready.feed)
    await eventually(lambda: reader.ticks(CALL), ready.rig.advance)
    await ready.feed.unsubscribe([CALL])
    await eventually(lambda: len(reader.ticks(ready.rig.index)) > 3, ready.rig.advance)
    before, index = len(reader.ticks(CALL)), len(reader.ticks(ready.rig.index))
    await eventually(lambda: len(reader.ticks(ready.rig.index)) > index + 5, ready.rig.advance)
    assert len(reader.ticks(CALL)) - before <= 2  # what was on its way
    await reader.close()


async def test_an_instrument_that_is_not_listed_is_refused(ready: Ready) -> None:
    with pytest.raises(InvalidInput):
        await ready.feed.subscribe(["NSE:NOWHERE"])


async def test_history_ascends_without_gap_or_repeat_and_leaves_out_what_is_not_closed(ready: Ready) -> None:
    """From Thursday's open into Friday's first 45 minutes: 375 and 45 minutes, the one under way not among them."""
    candles = await ready.feed.history(ready.rig.index, Timeframe.M1, at("09:15", date(2026, 11, 19)), at("15:30"))
    opened = [candle.opened_at for candle in candles]
    assert opened == sorted(set(opened))
    assert len(opened) == 375 + 45
    assert (opened[0], opened[-1]) == (at("09:15", date(2026, 11, 19)), at("09:59"))
    assert all(candle.volume is None for candle in candles)


async def test_history_begins_at_its_start_and_ends_before_its_end(ready: Ready) -> None:
    candles = await ready.feed.history(ready.rig.future, Timeframe.M1, at("09:20"), at("09:25"))
    assert [candle.opened_at for candle in candles] == [at(f"09:2{minute}") for minute in range(5)]
    assert all(candle.volume for candle in candles)
    assert await ready.feed.history(ready.rig.future, Timeframe.M1, at("09:25"), at("09:25")) == []


async def test_history_of_a_holiday_is_empty(ready: Ready) -> None:
    saturday = date(2026, 11, 14)
    assert await ready.feed.history(ready.rig.index, Timeframe.M1, at("09:15", saturday), at("15:30", saturday)) == []


# --- over a socket ---


@pytest.mark.parametrize("code", [1006, 1011, 1000])
async def test_any_end_of_the_socket_is_an_outage_with_a_gap_after_it(code: int, wire: NetworkRig) -> None:
    feed = wire.feed()
    await feed.subscribe([wire.index, CALL])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(CALL), wire.advance)
    down_at = wire.now()
    wire.inject(wire.faults.FeedClose(code=code))
    await eventually(lambda: any(not status.up for status in reader.of(FeedStatus)))
    await eventually(lambda: reader.of(FeedGap), wire.advance)
    await eventually(lambda: reader.of(FeedStatus)[-1].up, wire.advance)
    (gap,) = reader.of(FeedGap)
    assert gap.start <= down_at <= gap.end <= wire.now()
    assert gap.start.second == 0  # a whole minute, so that history can fill it
    assert feed.health.connects == 2
    await reader.close()
    await feed.close()


async def test_changes_made_while_the_socket_is_down_are_in_the_next_subscription_exactly(wire: NetworkRig) -> None:
    feed = wire.feed()
    await feed.subscribe([wire.index, CALL])
    wire.inject(wire.faults.FeedRefusal(status=503, times=3))
    reader = Reader(feed)
    await eventually(lambda: feed.health.refused >= 1)
    await feed.unsubscribe([CALL])
    await feed.subscribe([wire.future])
    await eventually(lambda: reader.ticks(wire.future) and reader.ticks(wire.index), wire.advance)
    assert wire.followed() == {wire.index, wire.future}
    assert reader.ticks(CALL) == []
    await reader.close()
    await feed.close()


async def test_a_refused_token_is_not_tried_again_until_there_is_a_new_one(wire: NetworkRig) -> None:
    feed = wire.feed()
    await feed.subscribe([wire.index])
    wire.inject(wire.faults.ExpireTokens(feeds=True))
    reader = Reader(feed)
    await eventually(lambda: feed.health.state == "AUTH_EXPIRED")
    await asyncio.sleep(0.5)
    assert feed.health.refused == 1
    assert reader.of(FeedStatus)[-1].reason.startswith("AUTH_EXPIRED")

    wire.renew(feed, wire.log_in())
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    await reader.close()
    await feed.close()


async def test_a_long_outage_is_waited_out_without_giving_up(wire: NetworkRig) -> None:
    """More refusals than any client with a retry limit would survive."""
    feed = wire.feed(jitter=lambda: 0.001)
    await feed.subscribe([wire.index])
    wire.inject(wire.faults.FeedRefusal(status=503, times=40))
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    assert feed.health.refused == 40
    await reader.close()
    await feed.close()


async def test_a_socket_that_stays_open_and_says_nothing_is_found_by_the_age_of_its_data(wire: NetworkRig) -> None:
    feed = wire.feed(stale_seconds=0.6)
    await feed.subscribe([wire.index])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    wire.inject(wire.faults.FeedSilence(seconds=3600))
    await eventually(lambda: not reader.of(FeedStatus)[-1].up)
    assert reader.of(FeedStatus)[-1].reason == "no data although the market is open"
    await reader.close()
    await feed.close()


async def test_the_clock_goes_on_in_a_silence_but_closes_no_minute_before_the_market_does(wire: NetworkRig) -> None:
    feed = wire.feed(venue_speed=600.0)  # ten minutes a second
    await feed.subscribe([wire.index])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    last = reader.ticks(wire.index)[-1].ts.replace(second=59, microsecond=999_999)
    await eventually(lambda: reader.of(FeedClock)[-1].ts == last)
    for _ in range(50):  # were it to go on, it would be minutes further by then
        await asyncio.sleep(0.01)
    assert reader.of(FeedClock)[-1].ts == last
    await wire.advance_to(at("15:31"))
    await eventually(lambda: reader.of(FeedClock)[-1].ts > at("15:40"))
    await reader.close()
    await feed.close()


async def test_silence_of_a_closed_market_is_no_fault(wire: NetworkRig) -> None:
    feed = wire.feed(stale_seconds=0.3)
    await feed.subscribe([wire.index])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    await wire.advance_to(at("15:31"))
    await eventually(lambda: not feed.decoder.is_open)
    connects = feed.health.connects
    await asyncio.sleep(1.5)
    assert (feed.health.connects, reader.of(FeedStatus)[-1].up) == (connects, True)
    await reader.close()
    await feed.close()


async def test_a_torn_frame_is_counted_and_passed_over(wire: NetworkRig) -> None:
    feed = wire.feed()
    await feed.subscribe([wire.index])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.index), wire.advance)
    wire.inject(wire.faults.MalformedFrame())
    await eventually(lambda: feed.health.malformed == 1, wire.advance)
    seen = len(reader.ticks(wire.index))
    await eventually(lambda: len(reader.ticks(wire.index)) > seen, wire.advance)
    assert feed.health.connects == 1
    await reader.close()
    await feed.close()


@pytest.mark.parametrize("how", ["duplicate", "reorder"])
async def test_frames_that_are_doubled_or_out_of_order_give_each_trade_once_and_no_step_back(how: str, wire: NetworkRig) -> None:
    feed = wire.feed()
    await feed.subscribe([wire.future])
    reader = Reader(feed)
    await eventually(lambda: reader.ticks(wire.future), wire.advance)
    wire.inject(wire.faults.FeedTicks(how=how, times=10))
    await eventually(lambda: len(reader.ticks(wire.future)) > 25, wire.advance)
    await reader.close()
    await feed.close()
    times = [tick.ts for tick in reader.ticks(wire.future)]
    assert times == sorted(times)
    assert feed.decoder.duplicates + feed.decoder.reordered > 0


async def test_a_slow_reader_gets_the_newest_price_and_all_of_the_volume(wire: NetworkRig) -> None:
    feed = wire.feed(backlog_max=20)
    await feed.subscribe([wire.future])
    batches = feed.stream()
    first = await anext(batches)
    assert first
    for _ in range(80):
        await wire.advance()
    await eventually(lambda: feed.health.dropped > 0, wire.advance)
    await asyncio.sleep(0.1)
    batch = [*first, *await anext(batches)]
    ticks = [event for event in batch if isinstance(event, Tick)]
    assert len(batch) < 40
    assert ticks[-1].price == wire.last(wire.future)
    await feed.close()


async def test_more_instruments_than_a_connection_may_follow_are_refused_and_nothing_changes(wire: NetworkRig) -> None:
    feed = wire.feed(mode="full_d30")
    names = [f"NSE:BANKNIFTY26NOV{strike}{right}" for strike in range(49000, 55100, 100) for right in ("CE", "PE")]
    with pytest.raises(InvalidInput, match="at most 50"):
        await feed.subscribe(names)
    await feed.subscribe(names[:50])
    await feed.close()


async def test_long_history_is_asked_for_in_spans_without_gap_or_overlap(wire: NetworkRig) -> None:
    """Ten weeks of minutes are more than a month per request; each day asked for once."""
    feed = wire.feed()
    start = at("09:15") - timedelta(days=70)
    candles: list[Candle] = await feed.history(wire.index, Timeframe.M15, start, at("10:00"))
    opened = [candle.opened_at for candle in candles]
    assert opened == sorted(set(opened))
    spans = wire.history_spans()
    assert len(spans) == 3
    for (_, until), (since, _) in pairwise(spans):
        assert since - until == timedelta(days=1)
    await feed.close()
