"""docs/broker-checks.md says what is checked, where, and for whom; this holds it to the tests and the adapters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from runtime.accounts import Capability
from tests.command_line import REPOSITORY
from tests.contracts.rig import lacks
from tests.contracts.rigs import RIGS

SUITES = ("test_broker", "test_broker_outcomes", "test_broker_accounts", "test_broker_chaos", "test_feed", "test_option_chain")
PAGE = (REPOSITORY / "docs" / "broker-checks.md").read_text(encoding="utf-8")
FILES = {path.stem: path for folder in ("tests", "tests/contracts") for path in (REPOSITORY / folder).rglob("test_*.py")}
"""By stem, which is how the page names them; of two with the same one that of this folder."""


def rows(columns: int) -> list[list[str]]:
    """Cells of the table with so many columns, without its head."""
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    return [row for row in found if len(row) == columns and not row[0].startswith("---")][1:]


def names_in(path: Path) -> set[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")}


def listed() -> set[tuple[str, str]]:
    return {(stem, name) for row in rows(5) for stem, name in re.findall(r"`(\w+)::(\w+)`", row[4])}


def test_every_test_it_names_exists() -> None:
    assert len(rows(5)) > 30
    assert [(stem, name) for stem, name in sorted(listed()) if stem not in FILES or name not in names_in(FILES[stem])] == []


def test_every_contract_test_is_on_it() -> None:
    missing = sorted({(suite, name) for suite in SUITES for name in names_in(FILES[suite])} - listed())
    assert missing == [], "write these into a row of docs/broker-checks.md"


def test_it_numbers_every_check_there_is() -> None:
    assert sorted({int(number) for row in rows(5) for number in re.findall(r"\d+", row[0])}) == list(range(1, 36))


@pytest.mark.parametrize(("name", "column"), [("paper", 2), ("upstox", 3)])
def test_what_a_broker_is_not_held_to_is_what_its_adapter_lacks(name: str, column: int) -> None:
    assert set(RIGS) == {"paper", "upstox"}  # another broker is another column
    named = {Capability(row[column].strip("`")) for row in rows(5) if row[column] != "✓"}
    assert [capability for capability in named if lacks(RIGS[name], capability) is None] == []
    said = {(row[1].strip("`"), row[2]) for row in rows(3) if row[0] == name}
    assert said == {(str(capability), why) for capability, why in RIGS[name].adapter.lacks.items()}
