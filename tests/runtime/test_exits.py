"""Levels at which a position is left, by hand calculation: bought and sold ones are each other's mirror image."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from runtime.events import ExitReason
from runtime.exits import clock_exit, distance, effective_stop, exit_due, expiry_exit, ratchet_level, stop_for_sizing, to_tick, watch_levels
from runtime.market import Instrument, InstrumentKind
from runtime.session import ExitMode, Level, LevelUnit, Protection
from runtime.signals import OrderSide, Side
from runtime.state import Position
from tests.builders import FUTURE, at, option, percent, points

BOUGHT, SOLD = OrderSide.BUY, OrderSide.SELL
ABSOLUTE = Level(value=Decimal(90), unit=LevelUnit.ABSOLUTE)


def position(side: OrderSide = BOUGHT, **changes: Any) -> Position:
    """30 at 100; `best` is the best price since."""
    best = Decimal(changes.pop("best", 100))
    levels = {name: None if value is None else Decimal(value) for name, value in changes.items()}
    return Position(
        position_id="p",
        signal_id="s",
        instrument=FUTURE,
        side=Side.LONG if side is BOUGHT else Side.SHORT,
        entry_side=side,
        quantity=Decimal(30),
        cost=Decimal(3000),
        entry_price=Decimal(100),
        opened_at=at("10:00"),
        best_price=best,
        **levels,
    )


@pytest.mark.parametrize(
    ("level", "away"),
    [(points("7"), 7), (percent("20"), 20), (ABSOLUTE, 10), (Level(value=Decimal(115), unit=LevelUnit.ABSOLUTE), 15)],
)
def test_a_level_is_so_far_from_an_entry_at_100(level: Level, away: int) -> None:
    assert distance(level, Decimal(100)) == away


@pytest.mark.parametrize(("price", "tick"), [("100.024", "100.00"), ("100.026", "100.05"), ("0.01", "0.05"), ("100.075", "100.10")])
def test_a_price_becomes_the_nearest_tick_and_never_nothing(price: str, tick: str) -> None:
    assert str(to_tick(Decimal(price), FUTURE)) == tick


@pytest.mark.parametrize(
    ("protection", "direction", "stop"),
    [
        (Protection(stop=points("7")), 1, "93"),
        (Protection(stop=points("7")), -1, "107"),
        (Protection(stop=ABSOLUTE), 1, "90"),
        (Protection(), 1, "80"),
        (Protection(exit_mode=ExitMode.SIGNAL_ONLY, stop=points("7")), 1, None),
        (Protection(stop=points("7"), trail=points("3")), 1, "93"),
    ],
)
def test_the_stop_that_a_size_counts_with(protection: Protection, direction: int, stop: str | None) -> None:
    """The signal's own is 80."""
    found = stop_for_sizing(protection, Decimal(100), direction, 80.0, FUTURE)
    assert found == (None if stop is None else Decimal(stop))


@pytest.mark.parametrize(("direction", "stop"), [(1, 95), (-1, 105)])
def test_where_there_is_only_a_trail_a_size_counts_with_that(direction: int, stop: int) -> None:
    assert stop_for_sizing(Protection(trail=points("5")), Decimal(100), direction, None, FUTURE) == stop
    assert stop_for_sizing(Protection(), Decimal(100), direction, None, FUTURE) is None


@pytest.mark.parametrize(
    ("held", "stop", "rule"),
    [
        (position(), None, ExitReason.SL),
        (position(stop=90), 90, ExitReason.SL),
        (position(stop=90, trail_distance=5), 95, ExitReason.TRAIL),
        (position(stop=96, trail_distance=5), 96, ExitReason.SL),
        (position(stop=95, trail_distance=5), 95, ExitReason.SL),
        (position(trail_distance=5, best=112), 107, ExitReason.TRAIL),
        (position(SOLD, stop=110, trail_distance=5), 105, ExitReason.TRAIL),
        (position(SOLD, stop=104, trail_distance=5), 104, ExitReason.SL),
        (position(SOLD, stop=105, trail_distance=5), 105, ExitReason.SL),
        (position(SOLD, trail_distance=5, best=88), 93, ExitReason.TRAIL),
    ],
)
def test_the_nearer_of_stop_and_trailing_stop_counts(held: Position, stop: int | None, rule: ExitReason) -> None:
    assert effective_stop(held) == (stop, rule)


@pytest.mark.parametrize(
    ("held", "price", "rule"),
    [
        (position(stop=90, target=120), "90", ExitReason.SL),
        (position(stop=90, target=120), "90.05", None),
        (position(stop=90, target=120), "120", ExitReason.TP),
        (position(stop=90, target=120), "119.95", None),
        (position(SOLD, stop=110, target=80), "110", ExitReason.SL),
        (position(SOLD, stop=110, target=80), "109.95", None),
        (position(SOLD, stop=110, target=80), "80", ExitReason.TP),
        (position(SOLD, stop=110, target=80), "80.05", None),
        (position(), "1", None),
        (position(target=120), "1", None),
        (position(stop=90), "1000", None),
        (position(stop=100, target=100), "100", ExitReason.SL),
        (position(trail_distance=5, best=112), "107", ExitReason.TRAIL),
    ],
)
def test_a_price_that_reaches_a_level_meets_its_rule_and_the_stop_is_judged_first(
    held: Position, price: str, rule: ExitReason | None
) -> None:
    assert exit_due(held, Decimal(price)) is rule


@pytest.mark.parametrize(
    ("held", "level"),
    [
        (position(), None),
        (position(trail_distance=20), "102"),
        (position(SOLD, trail_distance=20), "98"),
        (position(trail_distance="0.10"), "100.05"),
        (position(trail_distance=20, best=110), "112"),
    ],
)
def test_a_trailing_stop_moves_after_a_tenth_of_its_distance_or_a_tick(held: Position, level: str | None) -> None:
    assert ratchet_level(held) == (None if level is None else Decimal(level))


@pytest.mark.parametrize(
    ("held", "loss_level", "levels"),
    [
        (position(), None, (None, None)),
        (position(stop=90, target=120), None, (90.0, 120.0)),
        (position(stop=90, target=120), 95, (95.0, 120.0)),
        (position(stop=90, target=120), 85, (90.0, 120.0)),
        (position(), 95, (95.0, None)),
        (position(target=101, trail_distance=20), None, (80.0, 101.0)),
        (position(target=120, trail_distance=20), None, (80.0, 102.0)),
        (position(SOLD, stop=110, target=80), 105, (80.0, 105.0)),
        (position(SOLD, stop=110, target=80), 115, (80.0, 110.0)),
        (position(SOLD, target=99, trail_distance=20), None, (99.0, 120.0)),
        (position(SOLD, target=80, trail_distance=20), None, (98.0, 120.0)),
    ],
)
def test_the_nearest_levels_on_both_sides_are_watched(
    held: Position, loss_level: int | None, levels: tuple[float | None, float | None]
) -> None:
    assert watch_levels(held, None if loss_level is None else Decimal(loss_level)) == levels


DAY_BEFORE = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("protection", "due"),
    [
        (Protection(), None),
        (Protection(min_days_to_expiry=1), at("15:15", DAY_BEFORE)),
        (Protection(min_days_to_expiry=1, square_off=None), at("15:15", DAY_BEFORE)),
        (Protection(min_days_to_expiry=1, square_off=time(11)), at("11:00", DAY_BEFORE)),
        (Protection(min_days_to_expiry=0), at("15:15", date(2026, 11, 24))),
    ],
)
def test_a_contract_is_left_so_many_days_before_its_expiry(protection: Protection, due: datetime | None) -> None:
    assert expiry_exit(protection, option()) == due


def test_what_never_expires_is_never_left_for_that() -> None:
    coin = Instrument(id="BTC/USDT", kind=InstrumentKind.SPOT)
    assert expiry_exit(Protection(min_days_to_expiry=1), coin) is None


@pytest.mark.parametrize(
    ("protection", "since", "due"),
    [
        (Protection(square_off=None), "10:00", None),
        (Protection(), "10:00", (at("15:15"), ExitReason.TIME)),
        (Protection(), "15:14:59", (at("15:15"), ExitReason.TIME)),
        (Protection(), "15:15", (at("15:15", date(2026, 11, 21)), ExitReason.TIME)),
        (Protection(square_off=None, max_hold=timedelta(hours=2)), "10:00", (at("12:00"), ExitReason.TIME)),
        (Protection(max_hold=timedelta(hours=2)), "10:00", (at("12:00"), ExitReason.TIME)),
        (Protection(max_hold=timedelta(hours=9)), "10:00", (at("15:15"), ExitReason.TIME)),
        (Protection(square_off=time(15, 15), min_days_to_expiry=4), "10:00", (at("15:15"), ExitReason.EXPIRY)),
    ],
)
def test_the_earliest_clock_closes_and_of_two_at_once_the_expiry(
    protection: Protection, since: str, due: tuple[datetime, ExitReason] | None
) -> None:
    assert clock_exit(protection, option(), at(since)) == due
