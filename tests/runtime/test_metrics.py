"""Figures of merit against the numbers published with empyrical and against empyrical itself."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import metrics
from tests.shared_data import shared

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical

RETURNS = st.lists(st.floats(-0.3, 0.3).map(lambda value: round(value, 6)), min_size=3, max_size=60)


def equity_of(returns: Any) -> Any:
    return np.cumprod(1.0 + np.asarray(returns))


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads(shared("golden/empyrical/performance_vectors.json").read_text())


def series(published: dict[str, Any], name: str) -> Any:
    """Empyrical leaves out what is missing."""
    return np.array([value / 100.0 for value in published["series_percent"][name] if value is not None])


def matches(found: float | None, expected: Any) -> bool:
    """What empyrical calls nan or infinite is not defined here."""
    return found is None if expected in {"nan", "inf"} else found == pytest.approx(expected, rel=1e-9)


def test_sharpe_ratios_are_the_published_ones(published: dict[str, Any]) -> None:
    for name, expected in published["sharpe_rf0_daily"].items():
        assert matches(metrics.sharpe_ratio(series(published, name), 252), expected), name


def test_sortino_ratios_are_the_published_ones(published: dict[str, Any]) -> None:
    for name, expected in published["sortino_req0"].items():
        what, period = name.split("|")
        assert matches(metrics.sortino_ratio(series(published, what), published["annualisation"][period]), expected), name


def test_volatilities_are_the_published_ones(published: dict[str, Any]) -> None:
    for name, expected in published["annual_volatility"].items():
        what, period = name.split("|")
        assert matches(metrics.volatility(series(published, what), published["annualisation"][period]), expected), name


def test_drawdowns_are_the_published_ones(published: dict[str, Any]) -> None:
    for name, expected in published["max_drawdown"].items():
        if expected != "nan":  # of no return at all
            assert metrics.max_drawdown_percent(equity_of(series(published, name)), 1.0) == pytest.approx(expected, abs=1e-12), name


@given(RETURNS)
def test_any_curve_has_the_figures_that_empyrical_computes(returns: list[float]) -> None:
    equity = 1000.0 * equity_of(returns)
    daily = metrics.daily_returns(equity, 1000.0)
    assert daily == pytest.approx(returns, abs=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {
            "sharpe": empyrical.sharpe_ratio(daily),
            "sortino": empyrical.sortino_ratio(daily),
            "volatility": empyrical.annual_volatility(daily),
            "drawdown": empyrical.max_drawdown(daily),
        }
    mine = {
        "sharpe": metrics.sharpe_ratio(daily, 252),
        "sortino": metrics.sortino_ratio(daily, 252),
        "volatility": metrics.volatility(daily, 252),
        "drawdown": metrics.max_drawdown_percent(equity, 1000.0),
    }
    for name, value in mine.items():
        if value is not None and abs(value) < 1e9:  # above it the deviation is rounding noise
            assert value == pytest.approx(theirs[name], rel=1e-6, abs=1e-9), name


def test_a_day_of_the_curve_is_measured_from_the_capital() -> None:
    assert metrics.daily_returns(np.array([110.0, 99.0]), 100.0) == pytest.approx([0.1, -0.1])
    assert metrics.drawdowns(np.array([90.0, 120.0, 60.0]), 100.0).tolist() == [-10.0, 0.0, -60.0]


def test_the_longest_drawdown_lasts_from_the_peak_to_its_recovery() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-12", "2024-01-13"], dtype="datetime64[D]")
    assert metrics.max_drawdown_days(np.array([100.0, 120.0, 110.0, 120.0, 121.0]), 100.0, days) == 10  # 2nd to 12th
    assert metrics.max_drawdown_days(np.array([100.0, 120.0, 110.0, 111.0, 112.0]), 100.0, days) == 11  # not recovered yet
    assert metrics.max_drawdown_days(np.array([100.0, 101.0, 102.0, 103.0, 104.0]), 100.0, days) == 0


def test_growth_is_by_calendar_time() -> None:
    days = np.array(["2020-01-01", "2024-01-01"], dtype="datetime64[D]")  # 1461 days are four years
    assert metrics.cagr(146.41, 100.0, days) == pytest.approx(0.1)
    assert metrics.cagr(100.0, 100.0, days[:1]) is None


def test_figures_of_a_trade_list_are_those_of_a_calculator() -> None:
    # Net +30, -10, +20, -20 and 0: gains 50, losses 30; equity 130, 120, 140, 120, 120.
    net = np.array([30.0, -10.0, 20.0, -20.0, 0.0])
    figures = metrics.measure(
        net=net,
        fees=np.ones(5),
        gross=net + 1.0,
        bars_held=np.array([2, 4, 6, 8, 5]),
        seconds_held=np.array([120, 240, 360, 480, 300]),
        equity=100.0 + np.cumsum(net),
        days=np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]"),
        bars=50,
        capital=100.0,
        days_per_year=252,
    )
    assert (figures.trades, figures.wins, figures.losses, figures.win_rate) == (5, 2, 2, 0.4)
    assert (figures.average_win, figures.average_loss, figures.largest_win, figures.largest_loss) == (25.0, -15.0, 30.0, -20.0)
    assert figures.profit_factor == pytest.approx(50 / 30)
    assert (figures.expectancy, figures.exposure, figures.average_bars_held, figures.average_seconds_held) == (4.0, 0.5, 5.0, 300.0)
    assert (figures.gross_profit, figures.fees, figures.net_profit, figures.final_equity) == (25.0, 5.0, 20.0, 120.0)
    assert (figures.max_drawdown, figures.max_drawdown_percent) == (-20.0, pytest.approx(-20 / 140))
    assert figures.calmar is not None


def test_without_a_trade_what_cannot_be_said_is_not_said() -> None:
    nothing = np.zeros(0)
    figures = metrics.measure(
        net=nothing,
        fees=nothing,
        gross=nothing,
        bars_held=nothing.astype(np.int64),
        seconds_held=nothing.astype(np.int64),
        equity=np.full(3, 100.0),
        days=np.arange("2024-01-01", "2024-01-04", dtype="datetime64[D]"),
        bars=9,
        capital=100.0,
        days_per_year=252,
    )
    assert (figures.win_rate, figures.profit_factor, figures.expectancy, figures.sharpe, figures.sortino, figures.calmar) == (None,) * 6
    assert (figures.net_profit, figures.max_drawdown, figures.total_return, figures.max_drawdown_days) == (0.0, 0.0, 0.0, 0)
