"""Strategies by name and by file, and what is said of a file that holds none."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.strategy_source import create_strategy, strategy_class
from runtime.errors import InvalidConfig
from strategies import EmaCross

MINE = """
from runtime.strategy import MarketContext
from strategies import EmaCross
from strategies.parameters import Period

class Mine:
    name = "mine"
    def __init__(self, *, period: Period = 3) -> None:
        self.period = period
    def on_candle(self, candle, context):
        return None
    def describe(self):
        return {}
"""


def test_a_name_and_a_file_both_give_a_strategy_with_checked_parameters(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")

    assert strategy_class("ema_cross") is EmaCross
    assert create_strategy(str(file), {"period": "5"}).period == 5  # type: ignore[attr-defined]
    assert create_strategy(f"{file}:Mine").name == "mine"
    assert strategy_class(str(file)) is strategy_class(f"{file}:Mine")  # read once
    with pytest.raises(InvalidConfig, match=r"mine.period = '0'"):
        create_strategy(str(file), {"period": "0"})


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    before = create_strategy(str(file))
    file.write_text(MINE.replace("= 3", "= 4"), encoding="utf-8")

    assert (before.period, create_strategy(str(file)).period) == (3, 4)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "source", "complaint"),
    [
        (None, "moon", "is not known; known are .*ema_cross"),
        (None, "absent.py", "absent.py is not a file"),
        ("x = 1", "mine.py", "found: none"),
        (MINE, "mine.py:Yours", "found: none"),
        (MINE + MINE.replace("Mine", "Other"), "mine.py", "name one class .* found: Mine, Other"),
        ("import absent_module", "mine.py", "the file fails: ModuleNotFoundError"),
        ("class (", "mine.py", "the file fails: SyntaxError"),
    ],
)
def test_what_is_no_strategy_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, source: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "mine.py").write_text(content, encoding="utf-8")
    with pytest.raises(InvalidConfig, match=complaint):
        create_strategy(source)
