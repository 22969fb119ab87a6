"""What the README tells a newcomer to type exists and works."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from actors.cli import COMMANDS, GROUPS
from runtime.market import Candle, Timeframe
from runtime.signals import Side
from runtime.strategy import MarketContext, Strategy
from tests.builders import at

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_shoal_command_it_names_exists() -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    named = set(re.findall(r"\bshoal ([a-z][a-z-]*)", blocks))
    assert {"start", "up", "env", "events", "explain", "scan"} <= named
    assert named <= COMMANDS.keys() | GROUPS.keys()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_file_it_points_to_is_there(document: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_test_it_cites_is_there() -> None:
    cited = re.findall(r"`(tests/[a-z_/.]+)`", README)
    assert cited
    assert [path for path in cited if not (ROOT / path).exists()] == []


def test_its_strategy_is_one_and_is_short() -> None:
    [source] = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class MyCross" in block]
    assert len(source.splitlines()) < 30
    names: dict[str, Any] = {}
    exec(source, names)
    strategy: Strategy = names["MyCross"](fast_period=2, slow_period=3)
    context = MarketContext(session_open=at("09:15"), session_close=at("15:30"))

    targets = [strategy.on_candle(candle(minute, close), context) for minute, close in enumerate((100.0, 101.0, 103.0, 99.0, 90.0))]

    assert [target and target.side for target in targets] == [None, None, Side.LONG, Side.SHORT, Side.SHORT]


def candle(minute: int, close: float) -> Candle:
    """EMA(2) and EMA(3), both seeded with a simple mean: 102.17 over 101.33, then 100.06 under 100.17, then 93.35 under 95.08."""
    opened_at = at("09:15") + timedelta(minutes=minute)
    return Candle(instrument="NSE:BANKNIFTY", timeframe=Timeframe.M1, opened_at=opened_at, open=close, high=close, low=close, close=close)
