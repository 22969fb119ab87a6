from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.simulated import FreePacer, SimulatedFeed, SimulationConfig
from adapters.simulated.config import DuplicateTicks, FeedSilence, Halt, LateTicks, OutOfOrderTicks
from runtime.candles import CandleBuilder
from runtime.errors import InvalidInput
from runtime.market import IST, Candle, FeedClock, FeedGap, FeedStatus, Tick, Timeframe
from tests.adapters.simulated.builders import CALL, DAY, FUTURE, INDEX, PUT, at, market, rebuilt, streamed, ticks_of
from tests.adapters.simulated.recorded import recorded_day

SHORT = {DAY: ((time(9, 15), time(9, 30)),)}
ALL = (INDEX, FUTURE, CALL, PUT)


@pytest.mark.parametrize("day", [date(2024, 1, 17), date(2024, 1, 25), date(2020, 3, 12), date(2013, 8, 16), date(2019, 5, 23)])
async def test_ticks_of_a_recorded_day_rebuild_its_candles_exactly(day: date) -> None:
    recorded = recorded_day(day)
    assert len(recorded) == 375
    replay = market(sessions=(day,), candles={day: recorded})

    assert rebuilt(await streamed(replay, [INDEX]), INDEX) == recorded
    assert replay.candles(INDEX, day) == recorded


async def test_a_recorded_day_with_missing_minutes_is_replayed_without_inventing_any() -> None:
    day = date(2020, 3, 13)  # trading was halted at the lower circuit for almost an hour
    recorded = recorded_day(day)
    assert 0 < len(recorded) < 375
    assert rebuilt(await streamed(market(sessions=(day,), candles={day: recorded}), [INDEX]), INDEX) == recorded


cents = st.integers(100, 10_000_000).map(lambda value: value / 100)


@st.composite
def candles(draw: st.DrawFn) -> list[Candle]:
    minutes = draw(st.lists(st.integers(0, 14), min_size=1, max_size=8, unique=True).map(sorted))
    drawn: list[Candle] = []
    for minute in minutes:
        low, *inside, high = sorted(draw(st.lists(cents, min_size=4, max_size=4)))
        opened_at = at("09:15") + timedelta(minutes=minute)
        first, last = draw(st.permutations(inside))
        drawn.append(Candle(instrument=INDEX, timeframe=Timeframe.M1, opened_at=opened_at, open=first, high=high, low=low, close=last))
    return drawn


@given(candles(), st.integers(0, 99), st.sampled_from([(1, 1), (2, 1), (5, 1), (1, 2), (1, 15)]))
@settings(max_examples=40, deadline=None)
def test_any_candles_come_back_out_of_their_ticks(recorded: list[Candle], seed: int, rate: tuple[int, int]) -> None:
    replay = market(candles={DAY: recorded}, special_sessions=SHORT, seed=seed, ticks_per_second=rate[0], seconds_per_tick=rate[1])
    assert rebuilt(asyncio.run(streamed(replay, [INDEX])), INDEX) == recorded


async def test_a_slow_market_ticks_every_few_seconds_all_instruments_alike() -> None:
    batches = await streamed(market(special_sessions=SHORT, ticks_per_second=1, seconds_per_tick=5), ALL)

    clocks = [event.ts for batch in batches for event in batch if isinstance(event, FeedClock)]
    assert [after - before for before, after in pairwise(clocks)] == [timedelta(seconds=5)] * (15 * 12 - 1)
    assert all({event.instrument for event in batch if isinstance(event, Tick)} == set(ALL) for batch in batches)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_history_is_what_the_ticks_of_every_instrument_make(seed: int) -> None:
    venue = market(seed=seed, special_sessions=SHORT)
    batches = asyncio.run(streamed(venue, ALL))
    for instrument in ALL:
        expected = rebuilt(batches, instrument, has_volume=instrument != INDEX)
        assert venue.candles(instrument, DAY) == expected
        assert len(expected) == 15


async def test_a_batch_is_a_step_of_ticks_and_then_the_clock() -> None:
    batches = await streamed(market(special_sessions=SHORT), ALL)

    assert len(batches) == 15 * 60 * 2
    assert [type(event).__name__ for event in batches[0]] == ["Tick", "Tick", "Tick", "Tick", "FeedClock"]
    assert [type(event).__name__ for event in batches[1]] == ["Tick", "FeedClock"]
    assert {tick.ts for tick in ticks_of(batches[:1])} == {at("09:15")}
    assert batches[-1][-1] == FeedClock(ts=at("09:30"))


async def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    one, same, other = [
        await streamed(market(seed=seed, special_sessions=SHORT, special=(LateTicks(rate=0.1),)), ALL) for seed in (1, 1, 2)
    ]
    assert one == same
    assert one != other


@pytest.mark.parametrize("clock", ["09:15", "09:20", "09:27:30.250", "09:30", "16:00"])
async def test_a_resumed_feed_goes_on_as_if_it_had_never_stopped(clock: str) -> None:
    venue = market(special_sessions=SHORT, special=(LateTicks(rate=0.2, seconds=20), OutOfOrderTicks(rate=0.2), DuplicateTicks(rate=0.1)))
    whole = await streamed(venue, ALL)
    resumed = await streamed(market(**_fields(venue.config)), ALL, resume_from=at(clock))
    step = timedelta(seconds=0.5)
    assert resumed == [batch for batch in whole if batch[-1].ts - step >= at(clock)]  # type: ignore[union-attr]


async def test_a_stream_that_was_left_goes_on_where_it_was() -> None:
    feed = SimulatedFeed(market(special_sessions=SHORT), FreePacer())
    await feed.subscribe(ALL)
    seen = [await anext(stream) for stream in [feed.stream()] for _ in range(700)]
    seen += [batch async for batch in feed.stream()]
    assert seen == await streamed(market(special_sessions=SHORT), ALL)


async def test_subscriptions_change_while_the_feed_runs() -> None:
    feed = SimulatedFeed(market(special_sessions=SHORT), FreePacer())
    await feed.subscribe([INDEX])
    seen: dict[datetime, set[str]] = {}
    async for batch in feed.stream():
        clock = batch[-1].ts  # type: ignore[union-attr]
        seen[clock] = {tick.instrument for tick in ticks_of([batch])}
        if clock == at("09:20"):
            await feed.subscribe([CALL, INDEX])
        if clock == at("09:25"):
            await feed.unsubscribe([INDEX, PUT])

    assert seen[at("09:20")] == {INDEX}
    assert seen[at("09:20:00.500")] == {INDEX, CALL}
    assert seen[at("09:25:00.500")] == {CALL}
    assert len(seen) == 15 * 60 * 2


async def test_a_closed_feed_stops() -> None:
    feed = SimulatedFeed(market(special_sessions=SHORT), FreePacer())
    batches = 0
    async for _ in feed.stream():
        batches += 1
        await feed.close()
    assert batches == 1


async def test_several_sessions_follow_each_other() -> None:
    days = (date(2026, 11, 19), DAY)
    batches = await streamed(market(sessions=days, special_sessions=dict.fromkeys(days, SHORT[DAY])), [INDEX])
    clocks = [batch[-1].ts for batch in batches]  # type: ignore[union-attr]
    assert len(clocks) == 2 * 1800
    assert clocks[1799:1801] == [at("09:30", days[0]), at("09:15:00.500")]


async def test_an_unknown_instrument_is_refused() -> None:
    feed = SimulatedFeed(market(), FreePacer())
    with pytest.raises(InvalidInput, match="NSE:NIFTY"):
        await feed.subscribe([INDEX, "NSE:NIFTY"])
    with pytest.raises(InvalidInput, match="multiples of 100"):
        await feed.subscribe(["NSE:BANKNIFTY26NOV52050CE"])


# --- history --------------------------------------------------------------------------------------------------------


async def test_history_ends_at_the_venues_clock_and_reaches_back_over_days() -> None:
    feed = SimulatedFeed(market(), FreePacer(), resume_from=at("11:00"))

    candles = await feed.history(INDEX, Timeframe.M1, at("09:15", date(2026, 11, 18)), at("15:30"))

    days = [day for day in (date(2026, 11, 18), date(2026, 11, 19)) for _ in range(375)] + [DAY] * 105
    assert [candle.opened_at.date() for candle in candles] == days
    assert candles[-1].closed_at == at("11:00")
    assert all(candle.volume is None for candle in candles)


async def test_history_of_the_future_has_volume() -> None:
    feed = SimulatedFeed(market(), FreePacer(), resume_from=at("09:30"))
    candles = await feed.history(FUTURE, Timeframe.M1, at("09:15"), at("09:30"))
    assert len(candles) == 15
    assert all(candle.volume and candle.volume % 30 == 0 for candle in candles)


async def test_history_comes_in_longer_frames_too() -> None:
    feed = SimulatedFeed(market(), FreePacer(), resume_from=at("16:00"))
    minutes = await feed.history(INDEX, Timeframe.M1, at("09:15"), at("15:30"))
    hours = await feed.history(INDEX, Timeframe.H1, at("09:15"), at("15:30"))

    assert [hour.opened_at.astimezone(IST).time() for hour in hours] == [time(hour, 15) for hour in range(9, 16)]
    assert hours[0].high == max(candle.high for candle in minutes[:60])
    assert hours[-1].close == minutes[-1].close
    (day,) = await feed.history(INDEX, Timeframe.D1, at("09:15"), at("15:30"))
    assert (day.open, day.close) == (minutes[0].open, minutes[-1].close)


async def test_history_holds_no_frame_that_is_still_open() -> None:
    feed = SimulatedFeed(market(), FreePacer(), resume_from=at("11:14"))
    hours = await feed.history(INDEX, Timeframe.H1, at("09:15"), at("15:30"))
    assert [hour.opened_at for hour in hours] == [at("09:15")]
    assert await feed.history(INDEX, Timeframe.D1, at("09:15"), at("15:30")) == []


async def test_a_new_feed_knows_the_days_before_its_first_session_only() -> None:
    feed = SimulatedFeed(market(), FreePacer())
    assert feed.now() == at("09:15")
    assert await feed.history(INDEX, Timeframe.M1, at("09:15"), at("15:30")) == []
    assert len(await feed.history(INDEX, Timeframe.M1, at("00:00", date(2026, 11, 19)), at("15:30"))) == 375
    assert await feed.history(INDEX, Timeframe.M1, at("15:30"), at("09:15")) == []


# --- faults ---------------------------------------------------------------------------------------------------------


async def test_during_a_halt_only_the_clock_goes_on() -> None:
    venue = market(special_sessions=SHORT, special=(Halt(start=time(9, 20), minutes=4),))
    batches = await streamed(venue, ALL)

    halted = [batch for batch in batches if at("09:20") < batch[-1].ts <= at("09:24")]  # type: ignore[union-attr]
    assert len(halted) == 4 * 120
    assert all(len(batch) == 1 for batch in halted)
    assert [candle.opened_at.astimezone(IST).minute for candle in venue.candles(INDEX, DAY)] == [*range(15, 20), *range(24, 30)]


async def test_a_silent_feed_says_nothing_and_then_reports_the_gap_that_history_fills() -> None:
    quiet, plain = (market(special_sessions=SHORT, special=special) for special in [(FeedSilence(start=time(9, 20), minutes=3),), ()])
    batches = await streamed(quiet, [INDEX])

    clocks = [batch[-1].ts for batch in batches]  # type: ignore[union-attr]
    assert not [ts for ts in clocks if at("09:20") < ts <= at("09:23")]
    after = batches[clocks.index(at("09:23:00.500"))]
    assert after[0] == FeedGap(start=at("09:20"), end=at("09:23"), reason="no data from the venue")
    assert quiet.candles(INDEX, DAY) == plain.candles(INDEX, DAY)


async def test_an_announced_silence_is_a_lost_connection() -> None:
    silence = FeedSilence(start=time(9, 20), minutes=3, announced=True)
    batches = await streamed(market(special_sessions=SHORT, special=(silence,)), [INDEX])
    statuses = [event for batch in batches for event in batch if isinstance(event, FeedStatus)]
    assert [(status.ts, status.up) for status in statuses] == [(at("09:20"), False), (at("09:23"), True)]


async def test_duplicates_are_the_same_tick_again_and_change_no_candle() -> None:
    venue = market(special_sessions=SHORT, special=(DuplicateTicks(rate=0.3),))
    batches = await streamed(venue, [FUTURE])
    ticks = ticks_of(batches)
    assert 900 * 1.2 < len(ticks) < 900 * 1.4
    assert len(set(map(repr, ticks))) == 900
    assert rebuilt(batches, FUTURE, has_volume=True) == venue.candles(FUTURE, DAY)


async def test_late_ticks_arrive_that_many_seconds_after_their_time() -> None:
    batches = await streamed(market(special_sessions=SHORT, special=(LateTicks(rate=0.2, seconds=5),)), [INDEX])
    delays = [(batch[-1].ts - tick.ts).total_seconds() for batch in batches for tick in ticks_of([batch])]  # type: ignore[union-attr]
    assert len(delays) == 1800
    assert set(delays[:1700]) == {0.5, 5.5}
    assert 0.15 < delays.count(5.5) / 1800 < 0.25


async def test_out_of_order_ticks_come_after_their_successor_and_no_tick_is_lost() -> None:
    plain, mixed = [
        ticks_of(await streamed(market(special_sessions=SHORT, special=special), [INDEX])) for special in [(), (OutOfOrderTicks(rate=0.2),)]
    ]
    assert sorted(mixed, key=lambda tick: tick.ts) == plain
    assert 0.1 < sum(later.ts < earlier.ts for earlier, later in pairwise(mixed)) / 1800 < 0.3
    builder = CandleBuilder(INDEX, has_volume=False)
    for tick in mixed:
        builder.add(tick)
    assert builder.late <= 15  # only a tick that was overtaken across the end of a minute


async def test_a_fault_may_be_limited_to_one_session() -> None:
    days = (date(2026, 11, 19), DAY)
    special = (Halt(start=time(9, 20), minutes=5, on=days[1]),)
    venue = market(sessions=days, special_sessions=dict.fromkeys(days, SHORT[DAY]), special=special)
    assert [len(venue.candles(INDEX, day)) for day in days] == [15, 10]


def _fields(config: SimulationConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__struct_fields__}


def test_times_are_in_utc() -> None:
    assert market().day(DAY).grid.times[0] == datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
