"""Ranges as they are written, and which combinations are tried."""

from __future__ import annotations

from typing import Any

import pytest

from actors.search import GRID_MAX, grid, grid_size, parameters_of, parse_ranges, propose, sample
from runtime.errors import InvalidInput

RANGES = {"fast": [1, 2, 3], "slow": [10, 20]}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("n=5:9", [5, 6, 7, 8, 9]),
        ("n=5:20:5", [5, 10, 15, 20]),
        ("n=5:19:5", [5, 10, 15]),
        ("n=0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("n=7:7", [7]),
        ("n=1,1.5,2", [1, 1.5, 2]),
        ("n=on,off", ["on", "off"]),
    ],
)
def test_ranges_include_both_ends(text: str, values: list[Any]) -> None:
    assert parse_ranges([text]) == {"n": values}


@pytest.mark.parametrize("text", ["n", "n=", "=5", "n=a:b", "n=1:2:0", "n=2:1", "n=1:2:3:4", "n=1:inf", "n=0:1:1e-9"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--vary"):
        parse_ranges([text])


def test_a_parameter_is_varied_once() -> None:
    with pytest.raises(InvalidInput, match="n is varied twice"):
        parse_ranges(["n=1:2", "n=3:4"])


def test_a_grid_is_every_combination_in_order() -> None:
    assert [parameters_of(RANGES, index) for index in grid(RANGES)] == [
        {"fast": 1, "slow": 10},
        {"fast": 1, "slow": 20},
        {"fast": 2, "slow": 10},
        {"fast": 2, "slow": 20},
        {"fast": 3, "slow": 10},
        {"fast": 3, "slow": 20},
    ]
    huge = {"a": range(1_001), "b": range(1_000)}
    assert grid_size(huge) > GRID_MAX
    with pytest.raises(InvalidInput, match="use --method random or tpe"):
        grid(huge)


def test_a_sample_is_seeded_without_repeats_and_never_more_than_the_grid() -> None:
    wide = {"a": range(100), "b": range(100)}
    chosen = sample(wide, 50, seed=3)

    assert chosen == sample(wide, 50, seed=3) != sample(wide, 50, seed=4)
    assert len(set(chosen)) == 50
    assert all(0 <= a < 100 and 0 <= b < 100 for a, b in chosen)
    assert sample(RANGES, 50, seed=3) == grid(RANGES)


def test_proposals_follow_from_seed_and_results_alone_and_move_to_where_it_is_good() -> None:
    ranges = {"x": range(1_000)}
    tried: list[tuple[tuple[int, ...], float]] = []
    for _ in range(5):
        proposed = propose(ranges, tried, seed=11)
        assert proposed == propose(ranges, list(tried), seed=11)
        assert not {index for index, _ in tried} & set(proposed)
        tried += [(index, -abs(index[0] - 700.0)) for index in proposed]

    def distance(part: list[tuple[tuple[int, ...], float]]) -> float:
        return -sum(value for _, value in part) / len(part)

    assert distance(tried[48:]) < distance(tried[:32]) / 2  # the first two generations are drawn blindly


def test_a_space_that_is_used_up_proposes_nothing_more() -> None:
    tried = [(index, 1.0) for index in grid(RANGES)]
    assert propose(RANGES, tried, seed=1) == []
