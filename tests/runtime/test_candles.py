"""Candle building against plain re-computation and hand-made cases."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.calendar import load_calendar
from runtime.candles import Aggregator, CandleBuilder
from runtime.errors import InvalidMarketData
from runtime.market import IST, Candle, Tick, Timeframe

OPEN = datetime(2026, 11, 20, 9, 15, tzinfo=IST)
INDEX = "NSE:BANKNIFTY"


def tick(seconds: float, price: float, volume: float | None = None) -> Tick:
    return Tick(instrument=INDEX, ts=OPEN + timedelta(seconds=seconds), price=price, volume=volume)


def ohlc(candle: Candle | None) -> tuple[float, float, float, float] | None:
    return None if candle is None else (candle.open, candle.high, candle.low, candle.close)


def minute(offset: int, price: float = 100.0, volume: float | None = None) -> Candle:
    opened_at = OPEN + timedelta(minutes=offset)
    return Candle(
        instrument=INDEX,
        timeframe=Timeframe.M1,
        opened_at=opened_at,
        open=price,
        high=price + 1,
        low=price - 1,
        close=price + 0.5,
        volume=volume,
    )


def aggregator(timeframe: Timeframe) -> Aggregator:
    return Aggregator(timeframe, load_calendar().bounds_at)


@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
@pytest.mark.parametrize("price", [nan, inf, -inf, 0.0, -1.0, 98.9])
def test_a_price_that_cannot_be_true_is_refused_wherever_it_stands(name: str, price: float) -> None:
    """98.9 is a fine price, but below the low of 99.0; as the low itself it is moved below zero."""
    wrong = -98.9 if (name, price) == ("low", 98.9) else price
    with pytest.raises(InvalidMarketData, match="prices out of order or not positive in NSE:BANKNIFTY"):
        msgspec.structs.replace(minute(0), **{name: wrong})


def test_a_minute_closes_with_the_first_tick_of_a_later_one() -> None:
    builder = CandleBuilder(INDEX, has_volume=True)
    assert [builder.add(t) for t in (tick(0, 10, 1), tick(20, 12, 2), tick(40, 9, 3), tick(59.9, 11))] == [None] * 4

    closed = builder.add(tick(60, 11))

    assert ohlc(closed) == (10, 12, 9, 11)
    assert closed is not None
    assert (closed.opened_at, closed.volume) == (OPEN, 6)


def test_a_minute_closes_when_the_clock_passes_its_end_and_only_once() -> None:
    builder = CandleBuilder(INDEX, has_volume=False)
    builder.add(tick(5, 10, 7))

    assert builder.advance(OPEN + timedelta(seconds=59)) is None
    closed = builder.advance(OPEN + timedelta(seconds=60))
    assert ohlc(closed) == (10, 10, 10, 10)
    assert closed is not None
    assert closed.volume is None
    assert builder.advance(OPEN + timedelta(seconds=61)) is None
    assert builder.add(tick(61, 11)) is None


def test_a_tick_of_a_closed_minute_is_dropped_and_counted() -> None:
    builder = CandleBuilder(INDEX, has_volume=False)
    builder.add(tick(5, 10))
    builder.add(tick(65, 11))
    builder.add(tick(59, 99))
    builder.advance(OPEN + timedelta(minutes=2))
    builder.add(tick(119, 99))
    builder.advance(OPEN + timedelta(minutes=5))  # minutes 2 to 4 passed without a tick: they are over as well
    builder.add(tick(200, 99))

    assert builder.late == 3
    builder.add(tick(300, 12))
    assert ohlc(builder.advance(OPEN + timedelta(minutes=6))) == (12, 12, 12, 12)


def test_a_repeated_tick_counts_once() -> None:
    builder = CandleBuilder(INDEX, has_volume=True)
    builder.add(tick(1, 10, 5))
    builder.add(tick(1, 10, 5))
    builder.add(tick(1, 10, 6))  # same time and price, other volume: another trade

    closed = builder.advance(OPEN + timedelta(minutes=1))
    assert closed is not None
    assert (closed.volume, builder.duplicates) == (11, 1)


def test_open_and_close_go_by_venue_time_not_by_arrival() -> None:
    builder = CandleBuilder(INDEX, has_volume=False)
    for t in (tick(30, 10), tick(50, 12), tick(10, 8), tick(40, 11)):
        builder.add(t)

    assert ohlc(builder.advance(OPEN + timedelta(minutes=1))) == (8, 12, 8, 12)


def test_missing_minutes_are_never_invented() -> None:
    builder = CandleBuilder(INDEX, has_volume=False)
    builder.add(tick(0, 10))
    first = builder.add(tick(600, 11))
    second = builder.advance(OPEN + timedelta(minutes=11))

    assert [c.opened_at for c in (first, second) if c] == [OPEN, OPEN + timedelta(minutes=10)]


_TICKS = st.lists(
    st.tuples(st.integers(0, 599), st.integers(1, 50), st.integers(0, 5)).map(lambda t: tick(t[0], float(t[1]), float(t[2]))),
    min_size=1,
    max_size=60,
    unique_by=lambda t: t.ts,
)


@given(_TICKS)
def test_candles_equal_a_group_by_minute_when_every_minute_is_shuffled(ticks: list[Tick]) -> None:
    by_minute: dict[datetime, list[Tick]] = {}
    for t in sorted(ticks, key=lambda t: t.ts):
        by_minute.setdefault(t.ts.replace(second=0), []).append(t)
    builder = CandleBuilder(INDEX, has_volume=True)
    arrival = [t for t in ticks for _ in range(1)]
    arrival.sort(key=lambda t: t.ts.replace(second=0))  # stable: inside a minute the order stays random

    built = [c for t in arrival if (c := builder.add(t))]
    built += [c for c in [builder.advance(OPEN + timedelta(minutes=10))] if c]

    assert (builder.late, builder.duplicates) == (0, 0)
    assert [(c.opened_at, ohlc(c), c.volume) for c in built] == [
        (at, (g[0].price, max(t.price for t in g), min(t.price for t in g), g[-1].price), sum(t.volume or 0 for t in g))
        for at, g in by_minute.items()
    ]


@given(_TICKS)
def test_whatever_arrives_each_minute_is_final_once_and_time_ascends(ticks: list[Tick]) -> None:
    builder = CandleBuilder(INDEX, has_volume=True)
    opened = [c.opened_at for t in ticks if (c := builder.add(t))]
    opened += [c.opened_at for c in [builder.advance(OPEN + timedelta(minutes=10))] if c]

    assert opened == sorted(set(opened))


def test_frames_count_from_the_session_open_and_the_last_ends_with_the_session() -> None:
    hours = aggregator(Timeframe.H1)
    closed = [frame for offset in range(375) for frame in hours.add(minute(offset, 100 + offset, 1))]

    assert [frame.opened_at.strftime("%H:%M") for frame in closed] == ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"]
    assert [frame.volume for frame in closed] == [60] * 6 + [15]
    assert ohlc(closed[0]) == (100, 160, 99, 159.5)


def test_a_day_frame_is_the_whole_session() -> None:
    days = aggregator(Timeframe.D1)
    closed = [frame for offset in range(375) for frame in days.add(minute(offset))]

    assert [(frame.opened_at, frame.timeframe) for frame in closed] == [(OPEN, Timeframe.D1)]


def test_a_frame_whose_last_minute_is_missing_still_closes() -> None:
    by_clock = aggregator(Timeframe.M5)
    by_clock.add(minute(0))
    assert by_clock.advance(OPEN + timedelta(minutes=4)) == []
    assert len(by_clock.advance(OPEN + timedelta(minutes=5))) == 1
    assert by_clock.advance(OPEN + timedelta(minutes=6)) == []
    assert by_clock.add(minute(3)) == []  # its frame is final

    by_candle = aggregator(Timeframe.M5)
    by_candle.add(minute(0, 100))
    frames = by_candle.add(minute(9, 120))
    assert [(f.opened_at.minute, f.close) for f in frames] == [(15, 100.5), (20, 120.5)]


def test_a_repeated_minute_and_a_minute_outside_the_session_change_nothing() -> None:
    frames = aggregator(Timeframe.M5)
    for offset in (-8, 0, 0, 1, 2, 3):
        assert frames.add(minute(offset, volume=1)) == []
    closed = frames.add(minute(4, volume=1))

    assert [frame.volume for frame in closed] == [5]


def test_a_round_the_clock_market_has_days_in_utc() -> None:
    days = Aggregator(Timeframe.D1)
    last = minute(0)
    day = [
        msgspec.structs.replace(last, opened_at=datetime.fromisoformat("2026-01-01T00:00+00:00") + timedelta(minutes=n))
        for n in range(1440)
    ]

    closed = [frame for candle in day for frame in days.add(candle)]

    assert [frame.opened_at.isoformat() for frame in closed] == ["2026-01-01T00:00:00+00:00"]


@pytest.mark.parametrize("timeframe", [Timeframe.M3, Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1, Timeframe.H4])
@given(present=st.lists(st.booleans(), min_size=60, max_size=60))
def test_frames_equal_a_group_by_over_the_minutes_that_are_there(timeframe: Timeframe, present: list[bool]) -> None:
    minutes = [minute(offset * 6, 100.0 + offset % 7, 1.0) for offset, there in enumerate(present) if there]
    groups: dict[int, list[Candle]] = {}
    for candle in minutes:
        groups.setdefault((candle.opened_at - OPEN) // timeframe.duration, []).append(candle)
    frames = aggregator(timeframe)

    closed = [frame for candle in minutes for frame in frames.add(candle)] + frames.advance(OPEN + timedelta(days=1))

    assert [(f.opened_at, ohlc(f), f.volume) for f in closed] == [
        (
            OPEN + number * timeframe.duration,
            (g[0].open, max(c.high for c in g), min(c.low for c in g), g[-1].close),
            float(len(g)),
        )
        for number, g in groups.items()
    ]
