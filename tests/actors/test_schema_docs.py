from __future__ import annotations

from pathlib import Path

import pytest

from actors.schema_docs import BEGIN, tables, with_tables
from runtime.commands import Action
from runtime.errors import InvalidInput
from runtime.events import EventType

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "commands-and-events.md"


def test_the_tables_in_docs_are_those_of_the_code() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_tables(document), "run `shoal schema --tables docs/commands-and-events.md`"


def test_every_action_and_event_type_has_its_place_in_the_tables() -> None:
    text = tables()
    assert [name for name in (*Action, *EventType) if f"`{name}`" not in text] == []


def test_only_what_is_below_the_marker_is_replaced() -> None:
    assert with_tables(f"by hand\n{BEGIN}\nold").startswith(f"by hand\n{BEGIN}\n\n## Actions")
    with pytest.raises(InvalidInput, match="needs a line"):
        with_tables("by hand")
