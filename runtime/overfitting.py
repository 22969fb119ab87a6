"""How much of a Sharpe ratio is left when it is the best of many that were tried.

D. H. Bailey, M. López de Prado: "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
Non-Normality", Journal of Portfolio Management 40 (5), 2014. Sharpe ratios here are those of one period (a day), not annual.
"""

from __future__ import annotations

from math import e, sqrt
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

_EULER = 0.5772156649015329
_NORMAL = NormalDist()
CONFIDENT = 0.95


class Deflated(msgspec.Struct, frozen=True, kw_only=True):
    """`probability` that the true Sharpe ratio is above zero, given that it is the best of `trials`; `expected_maximum` is what the
    best of so many worthless trials would show. All Sharpe ratios are of one day.
    """

    sharpe: float
    trials: int
    days: int
    skewness: float
    kurtosis: float
    expected_maximum: float
    probability: float


def deflated_sharpe(returns: NDArray[np.float64], trial_sharpes: NDArray[np.float64]) -> Deflated | None:
    """Of the daily `returns` of the trial that was chosen, given the daily Sharpe ratios of all that were tried.

    None where it is not defined: less than three days, no deviation, or not one trial.
    """
    tried = trial_sharpes[np.isfinite(trial_sharpes)]
    if len(returns) < 3 or returns.min() == returns.max() or not len(tried):
        return None
    deviation = float(returns.std(ddof=1))
    sharpe = float(returns.mean()) / deviation
    centred = returns - returns.mean()
    second, third, fourth = (float((centred**power).mean()) for power in (2, 3, 4))
    skewness, kurtosis = third / second**1.5, fourth / second**2
    variance = float(tried.var(ddof=1)) if len(tried) > 1 else 0.0
    expected = expected_maximum_sharpe(len(tried), variance)
    return Deflated(
        sharpe=sharpe,
        trials=len(tried),
        days=len(returns),
        skewness=skewness,
        kurtosis=kurtosis,
        expected_maximum=expected,
        probability=probabilistic_sharpe(sharpe, expected, observations=len(returns), skewness=skewness, kurtosis=kurtosis),
    )


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """SR0: what the best of `trials` independent ones without any skill shows, where their Sharpe ratios have this variance."""
    if trials < 2:
        return 0.0
    quantile = _NORMAL.inv_cdf
    return sqrt(variance) * ((1.0 - _EULER) * quantile(1.0 - 1.0 / trials) + _EULER * quantile(1.0 - 1.0 / (trials * e)))


def probabilistic_sharpe(sharpe: float, benchmark: float, *, observations: int, skewness: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`; a normal distribution has kurtosis 3."""
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return _NORMAL.cdf((sharpe - benchmark) * sqrt(observations - 1) / sqrt(max(spread, 1e-12)))
