"""Groups, bins and months against sums made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.backtest_report.breakdown import breakdowns, histogram, monthly_returns
from runtime.backtest.result import EquityCurve
from tests.adapters.backtest_report.results import candles, result


def test_trades_are_grouped_by_what_they_share() -> None:
    table = result(candles(750), trades=6).trades
    entries = np.array(
        ["2024-01-01T09:15", "2024-01-01T10:00", "2024-01-02T10:59", "2024-01-05T15:29", "2024-01-06T09:30", "2024-01-07T09:00"]
    )
    groups = {group.name: group.rows for group in breakdowns(table, entries.astype("datetime64[s]").astype(np.int64))}

    assert [(row.name, row.trades) for row in groups["Hour"]] == [("09:00", 3), ("10:00", 2), ("15:00", 1)]
    assert [(row.name, row.trades) for row in groups["Weekday"]] == [
        ("Monday", 2),
        ("Tuesday", 1),
        ("Friday", 1),
        ("Saturday", 1),
        ("Sunday", 1),
    ]
    assert [row.name for row in groups["Side"]] == ["LONG", "SHORT"]
    first, fourth = table.net[0], table.net[3]  # the trades of rule 0
    orb = groups["Rule"][0]
    assert (orb.name, orb.trades) == ("orb", 2)
    assert (orb.net, orb.average) == pytest.approx((first + fourth, (first + fourth) / 2))
    assert orb.win_rate == ((first > 0) + (fourth > 0)) / 2


def test_a_group_without_a_loss_has_no_profit_factor() -> None:
    table = result(candles(750), trades=2).trades
    table.net[:] = [10.0, -5.0]
    [long, short] = next(group.rows for group in breakdowns(table, np.zeros(2, np.int64)) if group.name == "Side")

    assert (long.profit_factor, short.profit_factor) == (None, 0.0)


@given(some.lists(some.floats(-1e6, 1e6), min_size=1))
def test_every_trade_is_in_one_bin_and_no_bin_mixes_gains_with_losses(net: list[float]) -> None:
    bins = histogram(np.array(net))

    assert sum(found.count for found in bins) == len(net)
    assert all(found.to <= 1e-6 or found.from_ >= -1e-6 for found in bins)
    assert 1 <= len(bins) <= 62


def test_without_trades_there_is_nothing_to_cut_up() -> None:
    assert (histogram(np.array([])), breakdowns(result(candles(750), trades=0).trades, np.array([], np.int64))) == ([], [])


def test_months_compound_to_the_year() -> None:
    days = np.array(["2023-12-28", "2023-12-29", "2024-01-15", "2024-03-28"], "datetime64[D]")
    curve = EquityCurve(day=days, time=days.astype("datetime64[s]"), bar=np.arange(4), equity=np.array([105.0, 110.0, 99.0, 121.0]))

    [first, second] = monthly_returns(curve, 100.0)

    assert (first.year, first.months[11], first.total) == (2023, pytest.approx(0.10), pytest.approx(0.10))
    assert (second.year, second.months[0], second.months[1]) == (2024, pytest.approx(99 / 110 - 1), None)
    assert second.months[2] == pytest.approx(121 / 99 - 1)
    assert second.total == pytest.approx(121 / 110 - 1)
    assert 1 + second.total == pytest.approx((1 + second.months[0]) * (1 + second.months[2]))
