"""The scalper's rules, one at a time, on candles drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.candle_files import read_candles
from configs.calendar import load_calendar
from runtime.market import Candle, OptionChain, Quote
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from strategies.index_options_scalper import IndexOptionsScalper
from tests.builders import at
from tests.shared_data import shared
from tests.strategies.drawing import FLAT, Shape, chain, context, draw

# Warm after two candles, and the EMAs never in the way.
QUICK: dict[str, Any] = {"ema_fast": 1, "ema_slow": 2, "atr_period": 1, "trade_lock_minutes": 0}
# The range 09:15 to 09:17 is 99 to 101.
ORB: dict[str, Any] = QUICK | {"rules": "orb", "orb_end": "09:17", "volume_filter": "off"}
RANGE: tuple[Shape, Shape] = ((100, 101, 99, 100), (100, 100.5, 99.5, 100))
INSIDE: Shape = (100, 100.5, 99.5, 100)


def flat(price: float) -> Shape:
    return (price, price, price, price)


def run(strategy: IndexOptionsScalper, candles: Sequence[Candle], each: MarketContext | None = None) -> list[Target | None]:
    return [strategy.on_candle(candle, each or context()) for candle in candles]


def spoken(targets: Sequence[Target | None]) -> list[str | None]:
    return [f"{target.rule} {target.direction}" if target else None for target in targets]


def orb_after_range(*shapes: Shape, **parameters: Any) -> list[str | None]:
    said = spoken(run(IndexOptionsScalper(**(ORB | parameters)), draw(*RANGE, *shapes)))
    assert said[:2] == [None, None]
    return [word.removeprefix("orb BUY_") if word else None for word in said[2:]]


# --- opening range ---


def test_a_close_beyond_the_opening_range_is_strict() -> None:
    assert orb_after_range(flat(101), flat(101.05), flat(99), flat(98.95)) == [None, "CALL", None, "PUT"]


def test_a_touch_is_enough_where_asked_for() -> None:
    wick: Shape = (100, 101.05, 100, 100)
    assert orb_after_range(wick) == [None]
    assert orb_after_range(wick, breakout_on="touch") == ["CALL"]
    assert orb_after_range((100, 101, 99, 100), breakout_on="touch") == [None]


def test_a_side_fires_again_only_after_price_was_back_inside() -> None:
    assert orb_after_range(flat(102), flat(103), flat(100), flat(102), flat(102)) == ["CALL", None, None, "CALL", None]


def test_a_fall_through_the_whole_range_fires_the_other_side_at_once() -> None:
    assert orb_after_range(flat(102), flat(98), flat(102)) == ["CALL", "PUT", "CALL"]


@pytest.mark.parametrize(("close", "first", "second"), [(101.5, "CALL", "PUT"), (98.5, "PUT", "CALL"), (100.1, "CALL", "PUT")])
def test_when_both_sides_break_in_one_candle_the_close_decides_and_the_other_stays_armed(close: float, first: str, second: str) -> None:
    both: Shape = (100, 102, 98, close)
    assert orb_after_range(both, both, both, breakout_on="touch") == [first, second, None]


def test_the_trade_lock_holds_a_break_back_but_does_not_lose_it() -> None:
    said = orb_after_range(flat(102), *[flat(98)] * 6, trade_lock_minutes=5)
    assert said == ["CALL", None, None, None, None, "PUT", None]


def test_a_break_without_volume_waits_for_it() -> None:
    """Mean of the last two volumes; a breakout is above 1.5 × mean: 100 is not (1.5 × 100), 400 is (1.5 × 250)."""
    strategy = IndexOptionsScalper(**(ORB | {"volume_filter": "on", "volume_period": 2}))
    candles = draw(*RANGE, flat(102), flat(102), flat(102))
    targets = [strategy.on_candle(candle, context(volume)) for candle, volume in zip(candles, (100, 100, 100, 400, 400), strict=True)]

    assert spoken(targets) == [None, None, None, "orb BUY_CALL", None]
    assert targets[3] is not None
    assert (targets[3].context["volume"], targets[3].context["volume_mean"]) == (400, 250)


def test_without_any_volume_the_filter_is_off_and_says_so() -> None:
    strategy = IndexOptionsScalper(**(ORB | {"volume_filter": "on"}))
    targets = run(strategy, draw(*RANGE, flat(102)))

    assert spoken(targets)[2] == "orb BUY_CALL"
    assert strategy.describe()["notes"] == "VWAP is the time-weighted mean of the typical price: no volume; volume filter off: no volume"
    strategy.on_candle(draw(flat(102), clock="09:18")[0], context(volume=5.0))
    assert strategy.describe()["notes"] is None


def test_a_session_that_opens_after_the_range_has_no_breakout() -> None:
    evening = MarketContext(session_open=at("18:15"), session_close=at("19:15"))
    strategy = IndexOptionsScalper(**ORB)
    assert spoken(run(strategy, draw(*RANGE, flat(102), clock="18:15"), evening)) == [None] * 3
    assert strategy.describe()["orb_high"] is None


def test_each_day_has_its_own_opening_range() -> None:
    strategy = IndexOptionsScalper(**ORB)
    assert spoken(run(strategy, draw(*RANGE, flat(102))))[-1] == "orb BUY_CALL"
    tomorrow = date(2026, 11, 23)
    higher = [(o + 10, h + 10, low + 10, c + 10) for o, h, low, c in RANGE]
    candles = draw(*higher, flat(111), flat(112), day=tomorrow)
    assert spoken(run(strategy, candles, context(day=tomorrow))) == [None, None, None, "orb BUY_CALL"]


def test_the_range_is_unknown_until_it_is_complete() -> None:
    strategy = IndexOptionsScalper(**ORB)
    run(strategy, draw(*RANGE))
    assert strategy.describe()["orb_high"] is None
    run(strategy, draw(FLAT, clock="09:17"))
    assert (strategy.describe()["orb_high"], strategy.describe()["orb_low"]) == (101, 99)


# --- inside bar ---


def inside_bar(*shapes: Shape, **parameters: Any) -> list[str | None]:
    strategy = IndexOptionsScalper(**(QUICK | {"rules": "inside_bar"} | parameters))
    return [word.removeprefix("inside_bar BUY_") if word else None for word in spoken(run(strategy, draw(*shapes)))]


def test_the_mother_bars_high_or_low_must_be_broken() -> None:
    mother: Shape = (100, 102, 98, 101)
    assert inside_bar(mother, INSIDE, flat(102), flat(102.05)) == [None, None, None, "CALL"]
    assert inside_bar(mother, INSIDE, flat(97.95)) == [None, None, "PUT"]
    assert inside_bar(mother, INSIDE, (100, 103, 99, 101)) == [None, None, None]
    assert inside_bar(mother, INSIDE, (100, 103, 99, 101), breakout_on="touch") == [None, None, "CALL"]


def test_a_mother_bar_is_broken_once_and_several_inside_bars_share_it() -> None:
    mother: Shape = (100, 102, 98, 101)
    assert inside_bar(mother, INSIDE, flat(100.2), INSIDE, flat(103), flat(104)) == [None, None, None, None, "CALL", None]


def test_without_an_inside_bar_nothing_is_broken() -> None:
    assert inside_bar((100, 102, 98, 101), (101, 103, 99, 102), flat(104)) == [None, None, None]


def test_a_mother_bar_of_yesterday_is_forgotten() -> None:
    strategy = IndexOptionsScalper(**(QUICK | {"rules": "inside_bar"}))
    run(strategy, draw((100, 102, 98, 101), INSIDE, clock="15:28"))
    tomorrow = date(2026, 11, 23)
    assert spoken(run(strategy, draw(flat(103), day=tomorrow), context(day=tomorrow))) == [None]


# --- reversal ---


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((100.05, 100.1, 99.9, 99.95), (99.94, 100.1, 99.9, 100.06)), "reversal BUY_CALL"),  # bullish engulfing
        (((99.95, 100.1, 99.9, 100.05), (100.06, 100.1, 99.9, 99.94)), "reversal BUY_PUT"),  # bearish engulfing
        ((FLAT, (99.99, 100.02, 99.8, 100.01)), "reversal BUY_CALL"),  # hammer: lower shadow 0.19, body 0.02, upper 0.01
        ((FLAT, (100.01, 100.2, 99.98, 99.99)), "reversal BUY_PUT"),  # shooting star
        ((FLAT, (99.9, 100.1, 99.8, 100.05)), None),  # no pattern
    ],
)
def test_a_reversal_near_an_average_is_taken(shapes: tuple[Shape, Shape], said: str | None) -> None:
    strategy = IndexOptionsScalper(**(QUICK | {"rules": "reversal"}))
    assert spoken(run(strategy, draw(FLAT, FLAT, *shapes)))[-1] == said


@pytest.mark.parametrize(("proximity", "said"), [(0.1, None), (0.33, None), (0.34, "reversal BUY_CALL")])
def test_no_mans_land_is_farther_from_every_average_than_the_proximity(proximity: float, said: str | None) -> None:
    """After a flat hour at 100 a hammer closes at 101. Nearest is EMA(2), 2/3 of the way: 1/3 of 100.67 away, 0.331 %."""
    strategy = IndexOptionsScalper(**(QUICK | {"ema_fast": 2, "ema_slow": 50, "rules": "reversal", "proximity_percent": proximity}))
    hammer: Shape = (100.99, 101.01, 100.5, 101.0)
    assert spoken(run(strategy, draw(*[FLAT] * 60, hammer)))[-1] == said


# --- momentum ---


def test_momentum_needs_a_strong_candle_with_the_averages_and_beyond_vwap() -> None:
    def last(*shapes: Shape) -> str | None:
        return spoken(run(IndexOptionsScalper(**(QUICK | {"rules": "momentum"})), draw(*shapes)))[-1]

    assert last(FLAT, FLAT, (100, 101, 100, 101)) == "momentum BUY_CALL"
    assert last(FLAT, FLAT, (100, 100, 99, 99)) == "momentum BUY_PUT"
    assert last(FLAT, FLAT, (100, 101.8, 100, 101)) is None  # body 1 of 1.8 is under 60 %
    assert last(flat(103), flat(99), (99, 100, 99, 100)) is None  # under VWAP (103 + 99 + 99.67) / 3
    # EMA(1) is the close, 100, and EMA(2) is (90 + 110) / 2 = 100 as well: no direction
    assert last(flat(90), flat(110), (99, 100, 99, 100)) is None


# --- guards, priority, contract ---


def test_nothing_fires_before_slow_ema_and_atr_are_warm() -> None:
    strategy = IndexOptionsScalper(ema_fast=2, ema_slow=5, atr_period=3, rules="momentum", trade_lock_minutes=0)
    rising = [(100.0 + n, 101.0 + n, 100.0 + n, 101.0 + n) for n in range(7)]
    assert spoken(run(strategy, draw(*rising))) == [None] * 4 + ["momentum BUY_CALL"] * 3


def test_candles_outside_the_session_are_ignored_altogether() -> None:
    with_prints, without = IndexOptionsScalper(**QUICK), IndexOptionsScalper(**QUICK)
    run(with_prints, [*draw(flat(500), clock="09:07"), *draw(*RANGE), *draw(flat(500), clock="15:30")])
    run(without, draw(*RANGE))
    assert with_prints.describe() == without.describe()


def test_the_first_rule_in_the_fixed_order_wins() -> None:
    """The last candle breaks opening range and mother bar, and is strong."""
    shapes: list[Shape] = [*RANGE, INSIDE, (100, 102, 100, 102)]

    def said(rules: str) -> str | None:
        strategy = IndexOptionsScalper(**(ORB | {"rules": rules}))
        return spoken(run(strategy, draw(*shapes)))[-1]

    assert said("momentum,inside_bar,orb") == "orb BUY_CALL"
    assert said("momentum,inside_bar") == "inside_bar BUY_CALL"
    assert said("momentum") == "momentum BUY_CALL"


@pytest.mark.parametrize(
    ("limits", "pcr", "said"),
    [
        ({"pcr_min": 0.8}, 0.8, "orb BUY_CALL"),
        ({"pcr_min": 0.8}, 0.79, None),
        ({"pcr_max": 0.5}, 0.9, "orb BUY_CALL"),  # limits puts only
        ({"pcr_min": 0.8}, None, None),  # unknown is not enough
        ({}, None, "orb BUY_CALL"),
    ],
)
def test_no_call_is_bought_below_pcr_min(limits: dict[str, float], pcr: float | None, said: str | None) -> None:
    each = context(chain=None if pcr is None else chain(pcr=pcr))
    assert spoken(run(IndexOptionsScalper(**(ORB | limits)), draw(*RANGE, flat(102)), each))[-1] == said


@pytest.mark.parametrize(("pcr", "said"), [(1.2, "orb BUY_PUT"), (1.21, None)])
def test_no_put_is_bought_above_pcr_max(pcr: float, said: str | None) -> None:
    strategy = IndexOptionsScalper(**(ORB | {"pcr_max": 1.2}))
    assert spoken(run(strategy, draw(*RANGE, flat(98)), context(chain=chain(pcr=pcr))))[-1] == said


def breakout(option_chain: OptionChain | None, *quotes: Quote, close: float = 102, **parameters: Any) -> Target:
    strategy = IndexOptionsScalper(**(ORB | parameters))
    target = run(strategy, draw(*RANGE, flat(close)), context(chain=option_chain, quotes=quotes))[-1]
    assert target is not None
    return target


def test_a_call_at_the_money_is_bought_with_stop_and_target_from_its_premium() -> None:
    """Premium 100: stop 100 × (1 - 0.2) = 80; target 100 + 1.5 × 20 = 130."""
    target = breakout(chain())
    assert target.instrument is not None
    assert (target.side, target.direction, target.price, target.instrument.id) == (Side.LONG, "BUY_CALL", 102, "NSE:BANKNIFTY26NOV52000CE")
    assert (target.contract_price, target.contract_bid, target.contract_ask, target.stop, target.target) == (100, 99.5, 100.5, 80, 130)
    assert target.reason == "price 102 above the opening range's high 101"
    assert target.context["pcr"] == 1.0


def test_a_put_is_short_and_priced_by_its_live_quote() -> None:
    """Premium 87.35: stop 69.88 and target 113.555 go to the tick of 0.05: 69.9 and 113.55."""
    target = breakout(chain(), Quote("NSE:BANKNIFTY26NOV52000PE", 87.35, 87.3, 87.4), close=98)
    assert target.instrument is not None
    assert (target.side, target.direction, target.instrument.id) == (Side.SHORT, "BUY_PUT", "NSE:BANKNIFTY26NOV52000PE")
    assert (target.contract_price, target.contract_bid, target.contract_ask, target.stop, target.target) == (
        87.35,
        87.3,
        87.4,
        69.9,
        113.55,
    )


def test_stop_and_target_distances_can_be_set() -> None:
    target = breakout(chain(), stop_loss_percent=0.1, reward_risk=3.0)
    assert (target.stop, target.target) == (90, 130)


def test_a_contract_without_a_price_is_named_without_levels() -> None:
    target = breakout(chain(premium=None))
    assert target.instrument is not None
    assert (target.contract_price, target.stop, target.target) == (None, None, None)


def test_without_a_chain_there_is_a_target_without_a_contract() -> None:
    target = breakout(None)
    assert (target.direction, target.instrument, target.stop, target.context["pcr"]) == ("BUY_CALL", None, None, None)


def test_a_signal_carries_every_value_it_was_decided_on() -> None:
    assert set(breakout(chain()).context) == {
        "ema_fast",
        "ema_slow",
        "vwap",
        "atr",
        "orb_high",
        "orb_low",
        "volume",
        "volume_mean",
        "pcr",
        "pcr_change",
        "notes",
    }


def test_equal_candles_and_contexts_give_equal_targets_over_real_days() -> None:
    file = read_candles(
        shared("nse/BANKNIFTY_1m_2012-11_2021-12_and_2024Q1.parquet"),
        start=date(2024, 1, 1),
        end=date(2024, 1, 31),
        calendar=load_calendar(),
    )
    first, second = IndexOptionsScalper(), IndexOptionsScalper()
    targets: list[Target] = []
    for day, candles in file.days.items():
        each = context(day=day)
        for candle in candles:
            target = first.on_candle(candle, each)
            assert second.on_candle(candle, each) == target
            targets += [target] if target else []
    assert {target.rule for target in targets} == {"orb", "inside_bar", "reversal", "momentum"}
    assert len(targets) > 1_000


_SHAPES = st.lists(st.tuples(*[st.integers(90, 110)] * 4), min_size=20, max_size=80)


@given(_SHAPES, st.integers(1, 10))
def test_two_signals_are_never_closer_than_the_trade_lock(raw: list[tuple[int, int, int, int]], lock: int) -> None:
    shapes: list[Shape] = [(float(a), float(max(p)), float(min(p)), float(d)) for p in raw for a, _, _, d in [p]]
    strategy = IndexOptionsScalper(ema_fast=2, ema_slow=3, atr_period=2, orb_end="09:20", trade_lock_minutes=lock)
    candles = draw(*shapes)
    times = [candle.opened_at for candle, target in zip(candles, run(strategy, candles), strict=True) if target]

    assert all(later - earlier >= timedelta(minutes=lock) for earlier, later in pairwise(times))
