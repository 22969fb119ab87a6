"""The order in which a host's users are served: over some signals nobody is early or late on the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.bench.fairness import rank_uniformity_p
from actors.turns import Turns

USERS = [f"u{number:03d}" for number in range(500)]


@given(st.integers(0, 60), st.text(max_size=8))
def test_everybody_is_served_once(count: int, signal_id: str) -> None:
    assert sorted(Turns("h").order(USERS[:count], signal_id)) == USERS[:count]


@pytest.mark.parametrize("signals", [22, 100])
@pytest.mark.parametrize("host_id", ["packed-0", "packed-1", "user-7"])
def test_nobodys_mean_rank_is_far_from_the_middle(signals: int, host_id: str) -> None:
    """Of 500 users over n shuffles the worst would be about 500 / sqrt(12 n) · 3.1 away: 95 ranks after 22 signals."""
    turns = Turns(host_id)
    orders = [turns.order(USERS, str(number)) for number in range(signals)]
    means = [sum(order.index(user) for order in orders) / signals for user in USERS]
    assert max(abs(mean - 249.5) for mean in means) < 500 * 2 / signals
    assert rank_uniformity_p(orders, dict.fromkeys(USERS, host_id)) > 0.05


def test_two_strategies_by_turns_are_both_served_evenly() -> None:
    turns = Turns("h")
    served = [turns.order(USERS, str(number)) for number in range(44)]
    for orders in (served[::2], served[1::2]):
        assert rank_uniformity_p(orders, dict.fromkeys(USERS, "h")) > 0.05


def test_a_successor_and_another_host_begin_elsewhere() -> None:
    first = {Turns(host_id).order(USERS, signal_id)[0] for host_id in ("a", "b") for signal_id in ("s1", "s2")}
    assert len(first) == 4
