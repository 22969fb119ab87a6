"""Who hears a candidate instead of his own strategy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.rollouts import Rollout, addressed
from tests.builders import signal

USERS = [f"user-{number}" for number in range(10_000)]
BASELINE, CANDIDATE = "ema_cross:X:1m:aaaaaaaa", "ema_cross:X:1m:bbbbbbbb"


def rollout(share: float) -> Rollout:
    return Rollout(baseline=BASELINE, candidate=CANDIDATE, share=share)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_met_within_four_standard_deviations(share: float) -> None:
    """Of a binomial distribution: sqrt(n p (1 - p))."""
    taken = sum(rollout(share).takes(user) for user in USERS)
    assert abs(taken - share * len(USERS)) < 4 * (len(USERS) * share * (1 - share)) ** 0.5


def test_nobody_at_0_everybody_at_1() -> None:
    assert not any(rollout(0).takes(user) for user in USERS)
    assert all(rollout(1).takes(user) for user in USERS)


@given(user=st.text(min_size=1, max_size=64), small=st.floats(0, 1), more=st.floats(0, 1))
def test_who_is_in_a_small_share_is_in_every_larger_one(user: str, small: float, more: float) -> None:
    low, high = sorted((small, more))
    assert rollout(high).takes(user) or not rollout(low).takes(user)


def test_another_candidate_takes_other_users() -> None:
    other = Rollout(baseline=BASELINE, candidate=CANDIDATE + "2", share=0.5)
    both = sum(rollout(0.5).takes(user) and other.takes(user) for user in USERS)
    assert 2_300 < both < 2_700  # independent: a quarter


def test_each_follower_hears_one_of_the_two_and_what_he_hears_is_for_his_own_slot() -> None:
    running = {BASELINE: rollout(0.3)}
    followers = {BASELINE: USERS[:200], CANDIDATE: ["own choice"]}
    base, new = (signal(strategy_key=key, signal_id=key) for key in (BASELINE, CANDIDATE))
    [(heard, stayed)] = addressed(base, followers, running)
    [(unchanged, own), (rewritten, moved)] = addressed(new, followers, running)
    assert (heard, unchanged, own) == (base, new, ["own choice"])
    assert sorted(stayed + moved) == sorted(USERS[:200])
    assert (rewritten.strategy_key, rewritten.signal_id, rewritten.context["canary"]) == (BASELINE, CANDIDATE, CANDIDATE)


def test_a_signal_that_nobody_follows_is_addressed_to_nobody() -> None:
    assert list(addressed(signal(), {BASELINE: USERS}, {BASELINE: rollout(0.5)})) == []
