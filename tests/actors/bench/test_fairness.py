"""Whether anybody is served earlier or later than the others on the whole; scipy's own test is the oracle."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import chi2, friedmanchisquare

from actors.bench.fairness import host_gap_ms, rank_uniformity_p

USERS = [f"u{number}" for number in range(9)]


def shuffled(users: list[str], signals: int, seed: int) -> list[list[str]]:
    rng = random.Random(seed)
    return [rng.sample(users, len(users)) for _ in range(signals)]


def ranks(orders: list[list[str]], users: list[str]) -> np.ndarray:
    return np.array([[order.index(user) for order in orders] for user in users])


def test_on_one_host_it_is_friedmans_test() -> None:
    orders = shuffled(USERS, 25, seed=3)
    found = rank_uniformity_p(orders, dict.fromkeys(USERS, "h"))
    assert found == pytest.approx(friedmanchisquare(*ranks(orders, USERS)).pvalue, rel=1e-9)


def test_the_statistics_of_several_hosts_add_up() -> None:
    first, second = USERS[:5], USERS[5:]
    mine, yours = shuffled(first, 20, seed=1), shuffled(second, 20, seed=2)
    merged = [[user for pair in zip(a, [*b, ""], strict=True) for user in pair if user] for a, b in zip(mine, yours, strict=True)]
    host_of = {user: "a" if user in first else "b" for user in USERS}
    statistic = sum(friedmanchisquare(*ranks(orders, users)).statistic for orders, users in ((mine, first), (yours, second)))
    assert rank_uniformity_p(merged, host_of) == pytest.approx(chi2.sf(statistic, 4 + 3), rel=1e-9)


def test_a_user_who_is_always_last_is_noticed() -> None:
    orders = [[*order, "late"] for order in shuffled(USERS, 22, seed=4)]
    assert rank_uniformity_p(orders, dict.fromkeys([*USERS, "late"], "h")) < 1e-3


def test_a_host_that_is_always_slower_than_another_does_not_count_as_unfair_within_it() -> None:
    fast, slow = USERS[:5], USERS[5:]
    orders = [a + b for a, b in zip(shuffled(fast, 22, seed=5), shuffled(slow, 22, seed=6), strict=True)]
    host_of = {user: "fast" if user in fast else "slow" for user in USERS}
    assert rank_uniformity_p(orders, host_of) > 0.01


def test_with_nothing_to_compare_nothing_is_unfair() -> None:
    assert rank_uniformity_p([], {}) == 1.0
    assert rank_uniformity_p([["u"], ["u"]], {"u": "h"}) == 1.0


def test_where_every_order_is_as_likely_the_p_is_spread_evenly_over_two_hosts() -> None:
    """Of 200 tests 10 are expected below 0.05; 4 to 18 is what a binomial of 0.05 gives in 99 of 100 cases."""
    first, second = USERS[:5], USERS[5:]
    host_of = {user: "a" if user in first else "b" for user in USERS}
    found: list[float] = []
    for seed in range(200):
        mine, yours = shuffled(first, 40, seed=2 * seed), shuffled(second, 40, seed=2 * seed + 1)
        found.append(rank_uniformity_p([a + b for a, b in zip(mine, yours, strict=True)], host_of))
    assert 4 <= sum(p < 0.05 for p in found) <= 18
    assert 0.4 < np.mean(found) < 0.6


def test_the_gap_between_hosts_is_that_of_their_median_users() -> None:
    """Middles 4.5 and 12.5 ms: host a's median user is 2.5 and 0.5 ms early, host b's as much late: 1.5 each, 3 apart."""
    host_of = {user: "a" if number < 3 else "b" for number, user in enumerate(USERS[:6])}
    signals = [dict(zip(USERS[:6], times, strict=True)) for times in ((1, 2, 3, 6, 7, 8), (11, 12, 13, 12, 13, 14))]
    assert host_gap_ms(signals, host_of) == pytest.approx(3.0)
    assert host_gap_ms([], host_of) == 0.0
