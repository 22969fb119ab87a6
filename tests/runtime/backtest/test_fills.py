"""At which price a backtest fills, on candles made by hand (open, high, low, close). Entries are decided on candle 0 and filled on candle 1."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pytest
from msgspec import structs

from configs.calendar import load_calendar
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.result import BacktestResult, FillModel, Slippage, Trade
from runtime.backtest.run import run_backtest
from runtime.errors import InvalidConfig
from runtime.market import IST, Timeframe
from runtime.session import OnBreach, Protection, RiskLimits
from runtime.signals import Side
from tests.builders import at, points
from tests.runtime.backtest.samples import COIN, FUTURE, Scripted, by_hand, candles, spec

QUIET = (100.0, 101.0, 99.0, 100.0)
LONG, SHORT, FLAT = (Side.LONG, None, None), (Side.SHORT, None, None), (Side.FLAT, None, None)
BRACKET = (Side.LONG, 95.0, 110.0)


def only(result: BacktestResult) -> Trade:
    (trade,) = result.trades
    return trade


def left(trade: Trade) -> tuple[float, str]:
    return trade.exit_price, trade.exit_reason


def test_an_order_is_filled_at_the_open_of_the_candle_after_the_decision() -> None:
    trade = only(by_hand([QUIET, (102.0, 104.0, 101.0, 103.0), (105.0, 106.0, 104.0, 106.0), QUIET], {0: LONG, 1: FLAT}))
    assert (trade.entry_price, trade.entry_bar, trade.exit_price, trade.exit_bar) == (102.0, 1, 105.0, 2)
    assert (trade.gross, trade.exit_reason) == (3.0, "SIGNAL")


def test_a_fill_at_the_close_is_there_on_request_and_called_optimistic() -> None:
    rows = [QUIET, (102.0, 104.0, 101.0, 103.0), (105.0, 106.0, 104.0, 106.0), QUIET]
    result = by_hand(rows, {0: LONG, 1: FLAT}, fill=FillModel.CLOSE)
    assert (only(result).entry_price, only(result).exit_price) == (100.0, 103.0)
    assert any("OPTIMISTIC" in line for line in result.assumptions)
    assert not any("OPTIMISTIC" in line for line in by_hand(rows, {}).assumptions)


def test_a_reversal_closes_and_enters_at_the_same_open() -> None:
    result = by_hand([QUIET, QUIET, (104.0, 105.0, 103.0, 104.0), (108.0, 108.0, 108.0, 108.0)], {0: LONG, 1: SHORT, 2: FLAT})
    assert [(t.side, t.entry_price, t.exit_price, t.gross) for t in result.trades] == [
        ("LONG", 100.0, 104.0, 4.0),
        ("SHORT", 104.0, 108.0, -4.0),
    ]


def test_a_stop_that_the_open_jumps_over_is_filled_at_the_open() -> None:
    assert left(only(by_hand([QUIET, QUIET, (93.0, 97.0, 92.0, 96.0)], {0: BRACKET}))) == (93.0, "SL")


def test_a_stop_inside_a_candle_is_filled_at_the_stop() -> None:
    assert left(only(by_hand([QUIET, QUIET, (97.0, 98.0, 90.0, 91.0)], {0: BRACKET}))) == (95.0, "SL")


def test_a_target_is_filled_at_its_price_or_at_a_better_open() -> None:
    assert left(only(by_hand([QUIET, QUIET, (105.0, 115.0, 104.0, 114.0)], {0: BRACKET}))) == (110.0, "TP")
    assert left(only(by_hand([QUIET, QUIET, (112.0, 115.0, 111.0, 114.0)], {0: BRACKET}))) == (112.0, "TP")


def test_of_stop_and_target_in_one_candle_the_stop_comes_first() -> None:
    assert left(only(by_hand([QUIET, QUIET, (100.0, 111.0, 94.0, 105.0)], {0: BRACKET}))) == (95.0, "SL")
    short = (Side.SHORT, 105.0, 90.0)
    assert left(only(by_hand([QUIET, QUIET, (100.0, 106.0, 89.0, 95.0)], {0: short}))) == (105.0, "SL")


VENUE = Protection(square_off=None, at_broker=True)


@pytest.mark.parametrize(
    ("candle", "exit_at"),
    [
        ((93.0, 97.0, 92.0, 96.0), (93.0, "SL")),  # a gap through the stop: at the open
        ((97.0, 98.0, 90.0, 91.0), (95.0, "SL")),
        ((105.0, 115.0, 104.0, 114.0), (110.0, "TP")),
        ((112.0, 115.0, 111.0, 114.0), (112.0, "TP")),  # a gap beyond the limit: better than it
        ((100.0, 111.0, 94.0, 105.0), (95.0, "SL")),  # both inside one candle: the stop
        ((111.0, 112.0, 90.0, 92.0), (111.0, "TP")),
    ],
)
def test_a_pair_that_waits_at_the_venue_is_filled_at_its_own_levels(
    candle: tuple[float, float, float, float], exit_at: tuple[float, str]
) -> None:
    result = by_hand([QUIET, QUIET, candle, QUIET], {0: BRACKET}, protection=VENUE)
    assert left(only(result)) == exit_at
    assert result.orders == 3  # entry, stop and target: the one that is met cancels the other, and nothing is sent besides


def test_a_limit_at_the_venue_that_is_not_touched_does_not_fill() -> None:
    result = by_hand([QUIET, QUIET, (100.0, 109.95, 95.05, 100.0)], {0: BRACKET}, protection=VENUE)
    assert left(only(result)) == (100.0, "END_OF_DATA")


def test_slices_of_a_large_order_are_each_filled_and_its_pair_covers_them_all() -> None:
    frozen = structs.replace(FUTURE, freeze_quantity=Decimal(20))
    fills: list[tuple[str, str, str]] = []
    asked = spec("scripted", quantity=50, fees="none", protection=VENUE, instrument=frozen)
    rows = [QUIET, (102.0, 104.0, 101.0, 103.0), (97.0, 98.0, 90.0, 91.0), QUIET]
    result = run_backtest(
        asked,
        candles(rows, opened_at=at("10:00")),
        Scripted({0: BRACKET}),
        on_fill=lambda fill, order: fills.append((order.leg, str(fill.quantity), str(fill.price))),
    )
    assert fills[:3] == [("ENTRY", quantity, "102.00") for quantity in ("20", "20", "10")]
    assert {(leg, price) for leg, _, price in fills[3:]} == {("STOP", "95.00")}
    assert sum(int(quantity) for _, quantity, _ in fills[3:]) == 50
    assert (only(result).quantity, only(result).gross) == (50.0, -350.0)


def test_finer_candles_tell_which_of_stop_and_target_came_first() -> None:
    """Quarters of an hour: in the third the price reaches 110 in its second minute and 95 in its tenth, or the other way round."""
    up, down = (100.0, 111.0, 99.0, 108.0), (108.0, 108.0, 94.0, 96.0)
    assert exit_with([up, down]) == (110.0, "TP")
    assert exit_with([(100.0, 101.0, 94.0, 96.0), (96.0, 111.0, 96.0, 96.0)]) == (95.0, "SL")
    assert exit_with([up, (108.0, 108.0, 93.0, 96.0)]) == (95.0, "SL")  # lower than the candle itself: not its minutes, so the stop


def exit_with(parts: list[tuple[float, float, float, float]]) -> tuple[float, str]:
    """Of a position with a stop at 95 and a target at 110, in a quarter of an hour whose second and tenth minutes are `parts`."""
    asked = spec("scripted", fees="none", protection=Protection(square_off=None), timeframe=Timeframe.M15)
    quarters = [QUIET, QUIET, (100.0, 111.0, 94.0, 96.0), (96.0, 97.0, 95.5, 96.0)]
    opened = at("10:00")
    times = [opened + timedelta(minutes=15 * number) for number in range(len(quarters))]
    finer = [
        (times[2], (100.0, 100.0, 100.0, 100.0)),
        *zip((times[2] + timedelta(minutes=1), times[2] + timedelta(minutes=9)), parts, strict=True),
    ]
    result = run_backtest(asked, rows_at(times, quarters, Timeframe.M15), Scripted({0: BRACKET}), finer=rows_at(*zip(*finer, strict=True)))
    assert any("candles of 1m" in line for line in result.assumptions)
    return left(only(result))


def rows_at(
    times: Sequence[datetime], rows: Sequence[tuple[float, float, float, float]], timeframe: Timeframe = Timeframe.M1
) -> CandleArray:
    return CandleArray.of(FUTURE.id, timeframe, IST, np.array([int(ts.timestamp()) for ts in times]), np.array(rows))


def test_finer_candles_that_are_none_are_refused() -> None:
    minutes, asked = candles([QUIET], opened_at=at("10:00")), spec("scripted")
    with pytest.raises(InvalidConfig, match="must be shorter than the candles of 1m"):
        run_backtest(asked, minutes, Scripted({}), finer=minutes)
    with pytest.raises(InvalidConfig, match="the candles are of NSE:BANKNIFTY"):
        run_backtest(asked, minutes, Scripted({}), finer=candles([QUIET], opened_at=at("10:00"), instrument=COIN))


def test_a_stop_over_an_exchange_halt_is_filled_at_the_first_price_after_it() -> None:
    """NSE stood still on 2021-02-24 from 11:40 to 15:45 and traded until 17:00: a position waits, and its clock with it."""
    morning = [datetime(2021, 2, 24, 11, 37 + minute, tzinfo=IST) for minute in range(3)]
    evening = [datetime(2021, 2, 24, 15, 45 + minute, tzinfo=IST) for minute in range(3)]
    rows = rows_at([*morning, *evening], [QUIET, QUIET, QUIET, (91.0, 93.0, 90.0, 92.0), QUIET, QUIET])
    asked = spec("scripted", fees="none", protection=Protection(square_off=None))
    trade = only(run_backtest(asked, rows, Scripted({0: BRACKET}), calendar=load_calendar()))
    assert (left(trade), trade.exit_time) == ((91.0, "SL"), np.datetime64("2021-02-24T10:15:00"))
    clock = spec("scripted", fees="none", protection=Protection(square_off=time(15, 15)))
    trade = only(run_backtest(clock, rows, Scripted({0: LONG}), calendar=load_calendar()))
    assert (left(trade), trade.exit_time) == ((91.0, "TIME"), np.datetime64("2021-02-24T10:15:00"))  # due at 15:15, the first price after


def test_on_a_muhurat_evening_a_bracket_is_filled_by_the_same_rules() -> None:
    """2022-10-24, a holiday with an hour of trading from 18:15."""
    times = [datetime(2022, 10, 24, 18, 15 + minute, tzinfo=IST) for minute in range(4)]
    rows = rows_at(times, [QUIET, QUIET, (105.0, 115.0, 104.0, 114.0), QUIET])
    asked = spec("scripted", fees="none", protection=Protection(square_off=None))
    assert left(only(run_backtest(asked, rows, Scripted({0: BRACKET}), calendar=load_calendar()))) == (110.0, "TP")
    late = spec("scripted", protection=Protection(square_off=time(15, 15)))
    refused = run_backtest(late, rows, Scripted({0: BRACKET}), calendar=load_calendar())
    assert (len(refused.trades), refused.skipped) == (0, {"market_closed": 1})


def test_an_open_beyond_the_target_decides_although_the_stop_is_touched_later() -> None:
    assert left(only(by_hand([QUIET, QUIET, (111.0, 112.0, 90.0, 92.0)], {0: BRACKET}))) == (111.0, "TP")


def test_a_level_that_is_not_touched_fills_nothing() -> None:
    result = by_hand([QUIET, QUIET, (100.0, 109.95, 95.05, 100.0)], {0: BRACKET})
    assert left(only(result)) == (100.0, "END_OF_DATA")
    assert len(by_hand([QUIET, QUIET, QUIET], {0: BRACKET}, close_at_end=False).trades) == 0


def test_a_stop_is_live_in_the_candle_of_the_entry() -> None:
    trade = only(by_hand([QUIET, (100.0, 101.0, 94.0, 99.0), QUIET], {0: BRACKET}))
    assert (trade.entry_bar, trade.exit_bar, trade.exit_price) == (1, 1, 95.0)


def test_a_trailing_stop_follows_the_best_price_in_steps_and_is_met_on_the_way_to_the_close() -> None:
    # Trail 10, so it moves in steps of 1: 100 to 120 leaves it at 110, and the close at 105 lies beyond it.
    trail = Protection(trail=points("10"), square_off=None)
    trade = only(by_hand([QUIET, QUIET, (100.0, 120.0, 100.0, 105.0)], {0: LONG}, protection=trail))
    assert left(trade) == (110.0, "TRAIL")
    assert (trade.mae, trade.mfe) == (-1.0, 10.0)  # whole candles held: candle 1 only


def test_slippage_in_ticks_works_against_the_trader_on_both_legs() -> None:
    rows = [QUIET, QUIET, QUIET, QUIET]
    trade = only(by_hand(rows, {0: LONG, 1: FLAT}, slippage=Slippage(ticks=2)))
    assert (trade.entry_price, trade.exit_price) == (100.1, 99.9)
    trade = only(by_hand(rows, {0: SHORT, 1: FLAT}, slippage_percent=Decimal("0.5")))
    assert (trade.entry_price, trade.exit_price) == (99.5, 100.5)


def test_random_slippage_follows_the_seed_and_stays_within_its_bound() -> None:
    rows, script = [QUIET] * 40, {number: (LONG if number % 2 else FLAT) for number in range(39)}
    first, again, other = (by_hand(rows, script, slippage=Slippage(random_ticks=3), seed=seed).trades.entry_price for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    assert set(first.tolist()) <= {100.0, 100.05, 100.1, 100.15}
    assert len(set(first.tolist())) > 1


def test_fees_are_charged_on_both_legs() -> None:
    # 0.03 % of 100 × 50 is 1.50, of 110 × 50 is 1.65
    trade = only(by_hand([QUIET, QUIET, (110.0, 110.0, 110.0, 110.0)], {0: LONG, 1: FLAT}, quantity=50, fees="flat:0.0003"))
    assert (trade.gross, trade.fees, trade.net) == (500.0, 3.15, 496.85)


def test_the_clock_closes_at_the_first_price_of_the_square_off_time() -> None:
    rows = [QUIET] * 4 + [(103.0, 103.0, 103.0, 103.0), QUIET]
    trade = only(by_hand(rows, {0: LONG}, clock="15:11", protection=Protection(square_off=time(15, 15))))
    assert (left(trade), trade.exit_bar) == ((103.0, "TIME"), 4)
    assert trade.exit_time == np.datetime64("2026-11-20T09:45:00")  # UTC


def test_the_longest_holding_time_ends_at_the_next_price() -> None:
    rows = [QUIET] * 4 + [(103.0, 103.0, 103.0, 103.0), QUIET]
    trade = only(by_hand(rows, {0: LONG}, protection=Protection(square_off=None, max_hold=timedelta(minutes=3))))
    assert (left(trade), trade.bars_held) == ((103.0, "TIME"), 3)


def test_the_daily_loss_limit_closes_within_the_candle_and_refuses_entries_until_the_next_day() -> None:
    rows = [QUIET, QUIET, (100.0, 100.0, 80.0, 85.0), *[QUIET] * 6]
    limits = RiskLimits(max_daily_loss=Decimal(10), on_breach=OnBreach.CLOSE)
    result = by_hand(rows, {0: LONG, 4: LONG, 6: SHORT}, risk=limits)
    assert left(only(result)) == (90.0, "RISK_HALT")
    # 1440-minute candles: the same script, a day apart, enters again.
    days = by_hand(rows, {0: LONG, 4: LONG, 6: FLAT}, risk=limits, step=1440)
    assert [left(trade) for trade in days.trades] == [(90.0, "RISK_HALT"), (100.0, "SIGNAL")]


def test_money_is_marked_at_the_end_of_every_day() -> None:
    rows = [QUIET, QUIET, (100.0, 107.0, 99.0, 106.0), (104.0, 104.0, 104.0, 104.0)]
    curve = by_hand(rows, {0: LONG, 2: FLAT}, step=1440, quantity=10, fees="flat:0.001").equity
    # entry 10 × 100, fee 1.00, at the open of day 1; marks 100 and 106; exit at 104, fee 1.04
    assert (curve.equity - 1_000_000).round(9).tolist() == [0.0, -1.0, 59.0, 37.96]


def test_candles_of_another_instrument_or_timeframe_are_refused() -> None:
    with pytest.raises(ValueError, match="timeframe"):
        run_backtest(spec("scripted", timeframe=Timeframe.M5), candles([QUIET], opened_at=at("10:00")), Scripted({}))
