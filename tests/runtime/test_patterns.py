"""Patterns on candles drawn by hand. A shape is open, high, low, close."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.market import IST, Candle, Timeframe
from runtime.patterns import (
    is_bearish_engulfing,
    is_bullish_engulfing,
    is_hammer,
    is_inside_bar,
    is_range_compression,
    is_shooting_star,
    is_volume_breakout,
    strong_candle,
)

Shape = tuple[float, float, float, float]


def candle(shape: Shape) -> Candle:
    opens, high, low, close = shape
    at = datetime(2026, 11, 20, 9, 15, tzinfo=IST)
    return Candle(instrument="NSE:BANKNIFTY", timeframe=Timeframe.M1, opened_at=at, open=opens, high=high, low=low, close=close)


def mirrored(shape: Shape) -> Shape:
    opens, high, low, close = shape
    return 1000 - opens, 1000 - low, 1000 - high, 1000 - close


@pytest.mark.parametrize(
    ("shape", "hammer"),
    [
        ((108, 110, 100, 109), True),  # body 1, lower 8, upper 1 = 0.1 × range
        ((109, 110, 100, 108), True),  # colour does not matter
        ((107, 110, 100, 109), True),  # body 107..109 within the top third (from 106.67)
        ((106, 110, 100, 109), False),  # body reaches below the top third
        ((108, 110.5, 100, 109), False),  # upper shadow 1.5 > 0.1 × 10.5
        ((107, 109, 103.5, 109), False),  # lower 3.5 < 2 × body 2
        ((100, 100, 100, 100), False),  # no range
    ],
)
def test_a_hammer_and_its_mirror_the_shooting_star(shape: Shape, hammer: bool) -> None:
    assert is_hammer(candle(shape)) is hammer
    assert is_shooting_star(candle(mirrored(shape))) is hammer


def test_hammer_thresholds_can_be_set() -> None:
    shape = candle((106, 110, 100, 109))  # body 3, lower 6, upper 1
    assert not is_hammer(shape)
    assert is_hammer(shape, body_zone=0.4)
    assert not is_hammer(shape, body_zone=0.4, shadow_to_body=2.1)
    assert not is_hammer(shape, body_zone=0.4, other_shadow=0.05)


@pytest.mark.parametrize(
    ("before", "after", "engulfs"),
    [
        ((105, 106, 101, 102), (101, 107, 100, 106), True),
        ((105, 106, 101, 102), (102, 107, 100, 106), True),  # equal on one edge, larger
        ((105, 106, 101, 102), (102, 107, 100, 105), False),  # equal body is not larger
        ((105, 106, 101, 102), (103, 109, 100, 108), False),  # does not cover the old close
        ((102, 106, 101, 105), (101, 107, 100, 106), False),  # same colour
        ((105, 106, 101, 105), (101, 107, 100, 106), False),  # no colour before
    ],
)
def test_engulfing_in_both_directions(before: Shape, after: Shape, engulfs: bool) -> None:
    assert is_bullish_engulfing(candle(before), candle(after)) is engulfs
    assert is_bearish_engulfing(candle(mirrored(before)), candle(mirrored(after))) is engulfs


def test_an_inside_bar_may_touch_its_mother() -> None:
    mother = candle((100, 110, 90, 105))
    assert is_inside_bar(mother, candle((100, 110, 90, 105)))
    assert not is_inside_bar(mother, candle((100, 110.05, 95, 105)))
    assert not is_inside_bar(mother, candle((100, 105, 89.95, 105)))


def test_range_compression_compares_with_the_mean_before() -> None:
    narrow = candle((100, 105, 100, 101))
    assert is_range_compression([10, 8], narrow)  # 5 < 0.6 × 9
    assert not is_range_compression([10, 6], narrow)  # 5 > 0.6 × 8
    assert is_range_compression([10, 6], narrow, ratio=0.7)
    assert not is_range_compression([], narrow)


@pytest.mark.parametrize(
    ("shape", "direction"),
    [
        ((101, 110, 100, 108), 1),  # body 7 of 10, close 2 from the high
        ((101, 110, 100, 107), 0),  # body 6 of 10 is not more than 60 %
        ((100, 110, 100, 107), 0),  # close 3 from the high
        ((100, 110, 100, 107.5), 1),
        ((100, 100, 100, 100), 0),
    ],
)
def test_a_strong_candle_closes_in_its_outer_quarter(shape: Shape, direction: int) -> None:
    assert strong_candle(candle(shape)) == direction
    assert strong_candle(candle(mirrored(shape))) == -direction


def test_a_volume_breakout_is_above_a_multiple_of_the_mean() -> None:
    assert not is_volume_breakout(150, 100)
    assert is_volume_breakout(150.1, 100)
    assert is_volume_breakout(130, 100, multiple=1.2)


@given(st.lists(st.integers(1, 999), min_size=8, max_size=8))
def test_every_pattern_has_an_exact_mirror_image(prices: list[int]) -> None:
    first, second = sorted(prices[:4]), sorted(prices[4:])
    one: Shape = (first[1], first[3], first[0], first[2])
    two: Shape = (second[2], second[3], second[0], second[1])
    a, b, c, d = candle(one), candle(two), candle(mirrored(one)), candle(mirrored(two))

    assert is_bullish_engulfing(b, a) == is_bearish_engulfing(d, c)
    assert is_hammer(a, body_zone=0.5) == is_shooting_star(c, body_zone=0.5)
    assert strong_candle(a) == -strong_candle(c)
    assert is_inside_bar(a, b) == is_inside_bar(c, d)
