"""Many users in one pass against one backtest each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from actors.backtest import backtest
from actors.fleet import read_users
from runtime.errors import InvalidInput
from tests.actors.test_backtest import waves
from tests.browser import Browser, Page
from tests.command_line import Ran, shoal_here

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
    assert ran.json["days"] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    for row in ran.json["users"]:
        asked = {name: value if name == "fees" else Decimal(value) for name, value in settings[row["user_id"]].items()}
        alone = backtest("ema_cross", file, zone="Asia/Kolkata", **asked)
        assert (row["trades"], row["net"]) == (alone.metrics["trades"], pytest.approx(alone.metrics["net_profit"]))
        assert row["fees"] == pytest.approx(alone.metrics["fees"])
        assert row["final_equity"] == pytest.approx(alone.metrics["final_equity"])
        assert row["equity"] == pytest.approx(alone.equity["equity"].tolist())
        assert row["drawdown"] == pytest.approx(alone.metrics["max_drawdown_percent"])
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


@pytest.fixture
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running.page()


def test_every_users_curve_is_in_the_table_and_in_the_report(tmp_path: Path, page: Page) -> None:
    waves(tmp_path)
    (tmp_path / "users.csv").write_text("user_id,quantity\na,3\nb,7\n", encoding="utf-8")
    ran = shoal_here(*ASKED, "users.csv", "--equity", "equity.parquet", "--report", "users.html", "--json", folder=tmp_path)

    assert ran.code == 0, ran.err
    frame = pd.read_parquet(tmp_path / "equity.parquet")
    for row in ran.json["users"]:
        own = frame[frame["user_id"] == row["user_id"]]
        assert own["equity"].tolist() == row["equity"]
        assert own["drawdown"].min() == row["drawdown"]
    page.open(tmp_path / "users.html")
    assert page.run("[...document.querySelectorAll('#extra table tbody tr')].map((row) => row.children[0].textContent)") == _best_first(ran)
    legend = "document.querySelector('#extra .legend').textContent"
    first, second = _best_first(ran)
    assert page.run(legend).startswith(f"{first}: from 5,00,000 to ")
    page.run("document.querySelector('#extra [aria-label=\"Next account\"]').click()")
    assert page.run(legend).startswith(f"{second}: from 5,00,000 to ")
    assert page.complaints == []


def _best_first(ran: Ran) -> list[str]:
    return [row["user_id"] for row in sorted(ran.json["users"], key=lambda row: -row["net"])]


def test_users_may_be_json_and_have_no_list_of_trades(tmp_path: Path) -> None:
    waves(tmp_path, days=1)
    file = tmp_path / "users.json"
    file.write_text(json.dumps([{"user_id": "a", "data": {"capital": 5}}]), encoding="utf-8")

    assert read_users(file) == {"a": {"data": {"capital": 5}}}
    refused = shoal_here(*ASKED, "users.json", "--trades", "x.csv", folder=tmp_path)
    assert (refused.code, "--trades = 'x.csv': is of one user" in refused.err) == (2, True)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidInput, match="must be a JSON list of users"):
        read_users(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_users(tmp_path / "absent.csv")
