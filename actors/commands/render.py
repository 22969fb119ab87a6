"""Events and answers as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from runtime.events import EventType, PublicEvent
from runtime.market import IST

_HIDDEN = frozenset({"context", "strategy_key", "slot", "command_id", "order_id", "position_id", "signal_id"})
_STYLES = {
    "REJECTED": "red",
    "HALT": "red",
    "DOWN": "red",
    "SKIPPED": "dim",
    "HEARTBEAT": "dim",
    "SIGNAL": "cyan",
    "FILLED": "green",
    "CLOSED": "magenta",
    "OPENED": "green",
}


def event_line(event: PublicEvent) -> str:
    """`09:31:00.123  123  #42  SIGNAL  strategy=… rule=orb …`, times in India."""
    return f"{event.ts.astimezone(IST):%H:%M:%S.%f}"[:-3] + f"  {event.user_id}  #{event.seq}  {event.type}  {pairs(event.data)}"


def style(event_type: EventType) -> str:
    return next((name for part, name in _STYLES.items() if part in event_type), "")


def pairs(data: Mapping[str, Any]) -> str:
    """The fields worth a glance, as `name=value`; ids and long objects left out."""
    shown = {name: value for name, value in data.items() if name not in _HIDDEN and value not in (None, "", [], {})}
    return " ".join(f"{name}={_text(value)}" for name, value in shown.items())


def answer_lines(answer: PublicEvent) -> Iterator[str]:
    """A COMMAND_ACCEPTED, its lists one item a line."""
    data = dict(answer.data)
    lists = {name: data.pop(name) for name in ("positions", "orders") if name in data}
    action = data.pop("action")
    yield f"{action} accepted  {pairs(data)}".rstrip()
    for name, items in lists.items():
        for item in cast("list[dict[str, Any]]", items):
            yield f"  {name.removesuffix('s')}  {pairs(item)}"


def _text(value: Any) -> str:
    match value:
        case list():
            return ",".join(_text(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return "{" + pairs(value) + "}"  # pyright: ignore[reportUnknownArgumentType]
        case str() if " " in value:
            return repr(value)
        case _:
            return str(value)
