"""Where the processor time of a host goes."""

from __future__ import annotations

import cProfile
from pathlib import Path

from actors.bench.profile import parts_of
from runtime.sizing import round_down


def test_time_is_counted_for_the_part_in_whose_files_it_is_spent_and_c_functions_for_their_callers(tmp_path: Path) -> None:
    from decimal import Decimal

    profiler = cProfile.Profile()
    profiler.enable()
    for number in range(20_000):
        round_down(Decimal(number), Decimal(7))
    profiler.disable()
    profiler.dump_stats(tmp_path / "host.profile")

    parts = parts_of([tmp_path / "host.profile", tmp_path / "host.profile"])
    assert next(iter(parts)) == "engine"
    assert parts["engine"] > 0.8
    assert abs(sum(parts.values()) - 1) < 0.01
