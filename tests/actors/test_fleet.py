"""Many users in one pass against one backtest each."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from actors.backtest import backtest
from actors.fleet import read_users
from runtime.errors import InvalidInput
from tests.actors.test_backtest import waves
from tests.command_line import shoal_here

ASKED = ("backtest", "ema_cross", "--candles", "BANKNIFTY_1m.csv", "--zone", "Asia/Kolkata", "--users")


def test_each_user_has_the_result_of_a_backtest_of_their_own(tmp_path: Path) -> None:
    file = waves(tmp_path)
    (tmp_path / "users.csv").write_text("user_id,capital,quantity,fees\na,100000,3,none\nb,900000,7,flat:0.001\nc,,,\n", encoding="utf-8")
    ran = shoal_here(*ASKED, "users.csv", "--json", folder=tmp_path)

    assert ran.code == 0, ran.err
    settings = {
        "a": {"capital": 100_000, "quantity": 3, "fees": "none"},
        "b": {"capital": 900_000, "quantity": 7, "fees": "flat:0.001"},
        "c": {},
    }
    for row in ran.json:
        asked = {name: value if name == "fees" else Decimal(value) for name, value in settings[row["user_id"]].items()}
        alone = backtest("ema_cross", file, zone="Asia/Kolkata", **asked)
        assert (row["trades"], row["net"]) == (alone.metrics["trades"], pytest.approx(alone.metrics["net_profit"]))
        assert row["fees"] == pytest.approx(alone.metrics["fees"])
        assert row["final_equity"] == pytest.approx(alone.metrics["final_equity"])
    assert "3 users, net" in shoal_here(*ASKED, "users.csv", folder=tmp_path).out


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "names no user"),
        ("user_id,capital\n,5\n", "has no user_id"),
        ("user_id,money\na,5\n", "has money; give user_id"),
        ("user_id\na\na\n", "names user a again"),
        ("user_id,capital\na,much\n", "--users = 'a'"),
        ("user_id,capital\na,-5\n", "--users = 'a': capital"),
    ],
)
def test_a_file_of_users_that_is_wrong_names_who_and_what(tmp_path: Path, content: str, complaint: str) -> None:
    waves(tmp_path, days=1)
    (tmp_path / "users.csv").write_text(content, encoding="utf-8")
    ran = shoal_here(*ASKED, "users.csv", "--json", folder=tmp_path)

    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err


def test_users_may_be_json_and_are_not_reported_on_one_by_one(tmp_path: Path) -> None:
    waves(tmp_path, days=1)
    file = tmp_path / "users.json"
    file.write_text(json.dumps([{"user_id": "a", "data": {"capital": 5}}]), encoding="utf-8")

    assert read_users(file) == {"a": {"data": {"capital": 5}}}
    refused = shoal_here(*ASKED, "users.json", "--report", "x.html", folder=tmp_path)
    assert (refused.code, "--report and --trades are of one user" in refused.err) == (2, True)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidInput, match="must be a JSON list of users"):
        read_users(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_users(tmp_path / "absent.csv")
