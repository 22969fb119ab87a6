"""Both lanes, and skipping, over recorded years of the Bank Nifty index (taken as if it could be traded itself)."""

from __future__ import annotations

from datetime import date, time

import numpy as np
import pytest

from adapters.candle_files import read_candles
from configs.calendar import load_calendar
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket, OptionTerms, realised_volatility, weekday_expiries
from runtime.backtest.result import BacktestResult
from runtime.backtest.run import run_backtest
from runtime.session import ExitMode, Protection
from strategies import create
from tests.runtime.backtest.samples import as_columns, bank_nifty, spec
from tests.runtime.backtest.test_options import scalper
from tests.runtime.backtest.test_screening import assert_lanes_agree
from tests.runtime.backtest.test_skipping import assert_equal
from tests.shared_data import shared


@pytest.mark.parametrize("year", [2016, 2020])
def test_both_lanes_give_the_same_trades_over_a_real_year(year: int) -> None:
    assert assert_lanes_agree(spec(quantity=15), bank_nifty(date(year, 1, 1), date(year, 12, 31))) > 3_000


def test_skipping_changes_nothing_for_the_scalper_over_real_months() -> None:
    """With options, over the months of the crash of 2020, a halted day among them."""
    candles = bank_nifty(date(2020, 3, 1), date(2020, 4, 15))
    assert_equal(*(_scalp(candles, skip=skip) for skip in (True, False)))


def _scalp(candles: CandleArray, *, skip: bool = True) -> BacktestResult:
    options = OptionMarket(candles, OptionTerms(expiries=weekday_expiries(candles)), realised_volatility(candles))
    return run_backtest(scalper(), candles, create("index_options_scalper"), calendar=load_calendar(), options=options, skip=skip)


def test_a_day_on_which_the_exchange_halted_is_traded_on_both_sides_of_the_halt() -> None:
    """2020-03-23: the market fell 10 % by 09:58 and stood still until 10:43."""
    day = bank_nifty(date(2020, 3, 20), date(2020, 3, 23))
    monday = np.flatnonzero(day.day == day.day[-1])
    pause = monday[1:][np.diff(day.opened_at[monday]) > 1_800]
    assert len(pause) == 1
    result = _scalp(day)
    entries = result.trades.entry_bar
    assert ((entries >= monday[0]) & (entries < pause[0])).any()
    assert (entries >= pause[0]).any()
    # Nothing is filled where there is no candle, and what waited was filled at the first price after.
    assert set(result.trades.exit_bar.tolist()) <= set(range(len(day)))


def test_a_muhurat_evening_is_traded_unless_the_square_off_time_has_passed() -> None:
    """2022-10-24, 18:15 to 19:15: one file holds the holiday's evening alone."""
    path = shared("bad_samples/BANKNIFTY_2022-10-24_muhurat_evening_session.txt")
    candles = as_columns(read_candles(path, calendar=load_calendar()))
    assert (candles.minute.min(), candles.minute.max()) == (18 * 60 + 15, 19 * 60 + 14)
    result = run_backtest(spec(), candles, create("ema_cross"), calendar=load_calendar())
    assert len(result.trades) > 1
    assert result.equity.day.tolist() == [date(2022, 10, 24)]
    afternoon = Protection(exit_mode=ExitMode.SIGNAL_ONLY, square_off=time(15, 15))
    refused = run_backtest(spec(protection=afternoon), candles, create("ema_cross"), calendar=load_calendar())
    assert (len(refused.trades), set(refused.skipped)) == (0, {"market_closed"})
