"""`shoal bench` on few users: real servers and real host processes, and nobody is left out."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from actors.bench.report import plot, rows
from actors.cli import app

USERS = 6


def bench(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["bench", *arguments, "--users", str(USERS), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_one_signal_leads_to_one_order_of_each_user() -> None:
    found = bench("fan-out", "--signals", "2", "--profile")
    assert {name: found[name] for name in ("users", "signals", "strategy_evaluations", "orders", "duplicates", "missing")} == {
        "users": USERS,
        "signals": 2,
        "strategy_evaluations": 1,
        "orders": 2 * USERS,
        "duplicates": 0,
        "missing": 0,
    }
    decision, fill = found["decision_ms"], found["fill_ms"]
    assert isinstance(decision, dict)
    assert isinstance(fill, dict)
    assert 0 < decision["p50"] <= decision["p99"] <= decision["last"]
    assert 0 < fill["p50"] <= fill["p99"] <= fill["last"]
    assert 0 <= float(str(found["rank_uniformity_p"])) <= 1
    assert float(str(found["baseline_ratio"])) > 0
    assert float(str(found["rss_mb"])) > 0
    profile = found["profile"]
    assert isinstance(profile, dict)
    assert sum(profile.values()) == pytest.approx(1, abs=0.01)
    assert {"engine", "host", "publishing", "collections", "journal and driver"} <= set(profile)


def test_killed_hosts_come_back_with_all_their_users() -> None:
    found = bench("cold-start", "--signals", "1")
    assert (found["users"], found["restored"], found["runs"]) == (USERS, USERS, 1)
    assert float(str(found["seconds"])) > 0


def test_a_plot_needs_the_figures_it_is_drawn_from() -> None:
    result = CliRunner().invoke(app, ["bench", "ticks", "--plot", "x.svg"])
    assert "measure `fan-out` or `all`" in str(result.exception)


def test_ticks_need_enough_users_for_each_to_touch_somebody() -> None:
    result = CliRunner().invoke(app, ["bench", "ticks", "--users", "99"])
    assert "ticks need 100 at least" in str(result.exception)


RESULT = {
    "users": 1_000,
    "decision_ms": {"p50": 100.0, "p99": 150.0, "last": 200.0},
    "fill_ms": {"p50": 300.0, "p99": 600.0, "last": 700.0},
    "cpu_s": 0.5,
    "machine": {"cores": 2},
}


def test_the_plot_shows_microseconds_per_user_on_logarithmic_axes() -> None:
    """200 ms for 1,000 users are 200 µs each; the same for ten times the users lies at the same height."""
    larger = RESULT | {"users": 10_000, "decision_ms": {"last": 2_000.0}, "fill_ms": {"last": 700.0}, "cpu_s": 50.0}
    svg = ET.fromstring(plot([RESULT, larger]))
    lines = [line.attrib["points"].split() for line in svg if line.tag.endswith("polyline")]
    heights = [[float(point.split(",")[1]) for point in line] for line in lines]
    assert heights[0][0] == heights[0][1]
    assert heights[1][0] < heights[1][1]  # cheaper per user: further down
    assert heights[2][0] > heights[2][1]
    assert [text.text for text in svg if text.tag.endswith("text")][-3:] == [
        "last order decided: 200",
        "last fill on Redis: 70",
        "processor time: 5,000",
    ]


@pytest.mark.parametrize(("users", "verdict"), [(1_000, "≤ 200 met"), (10_000, "≤ 1500 met"), (500, "")])
def test_a_figure_with_a_goal_says_whether_it_is_met(users: int, verdict: str) -> None:
    table = {name: (value, goal) for name, value, goal in rows("fan-out", RESULT | {"users": users})}
    assert table["decision_ms.p99"] == ("150", verdict)
    assert "machine" not in table


def test_a_missed_goal_says_so() -> None:
    table = {name: goal for name, _, goal in rows("fan-out", RESULT)}
    assert table["fill_ms.p99"] == "≤ 500 MISSED"
