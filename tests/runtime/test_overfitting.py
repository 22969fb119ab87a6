"""The paper's own example, and what must hold of any."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from runtime.overfitting import deflated_sharpe, expected_maximum_sharpe, probabilistic_sharpe


@pytest.mark.parametrize(("trials", "probability"), [(100, 0.9004), (46, 0.9505)])
def test_the_numerical_example_of_bailey_and_lopez_de_prado(trials: int, probability: float) -> None:
    # Annual Sharpe 2.5 over five years of 250 days, skewness -3, kurtosis 10, variance of the annual Sharpe ratios of the trials 1/2.
    expected = expected_maximum_sharpe(trials, 0.5 / 250)
    if trials == 100:
        assert expected == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(2.5 / sqrt(250), expected, observations=1250, skewness=-3.0, kurtosis=10.0)
    assert found == pytest.approx(probability, abs=5e-5)


def test_moments_are_those_of_scipy() -> None:
    returns = np.random.default_rng(3).standard_t(4, 500) * 0.01 + 0.0005
    found = deflated_sharpe(returns, np.array([0.01, 0.02, 0.03]))

    assert found is not None
    assert found.skewness == pytest.approx(stats.skew(returns))
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))


def test_the_best_of_worthless_trials_is_expected_where_simulation_finds_it() -> None:
    random = np.random.default_rng(1)
    simulated = random.normal(0.0, 0.1, (4_000, 50)).max(axis=1).mean()
    assert expected_maximum_sharpe(50, 0.01) == pytest.approx(simulated, rel=0.02)


def test_the_more_were_tried_the_less_the_best_proves() -> None:
    returns = np.random.default_rng(5).normal(0.001, 0.01, 750)
    some = [deflated_sharpe(returns, np.random.default_rng(9).normal(0.0, 0.05, trials)) for trials in (2, 20, 200, 2_000)]
    probabilities = [found.probability for found in some if found is not None]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(probabilities) == 4


@pytest.mark.parametrize(
    ("returns", "sharpes"), [([0.1, 0.2], [0.1]), ([0.1, 0.1, 0.1], [0.1]), ([0.1, 0.2, 0.3], []), ([0.1, 0.2, 0.3], [np.nan])]
)
def test_where_it_is_not_defined_there_is_none(returns: list[float], sharpes: list[float]) -> None:
    assert deflated_sharpe(np.array(returns), np.array(sharpes)) is None


def test_a_single_trial_is_not_deflated() -> None:
    found = deflated_sharpe(np.array([0.01, 0.02, -0.01, 0.015]), np.array([0.5]))
    assert found is not None
    assert found.expected_maximum == 0.0
