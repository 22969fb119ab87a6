"""Parameter types of strategies, with their ranges, and the conversion of what a user wrote into them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import time
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from runtime.errors import InvalidConfig

Period: TypeAlias = Annotated[int, Meta(ge=1, le=5_000)]
"""A number of candles."""
Minutes: TypeAlias = Annotated[int, Meta(ge=0, le=1_440)]
Fraction: TypeAlias = Annotated[float, Meta(gt=0.0, lt=1.0)]
Multiple: TypeAlias = Annotated[float, Meta(gt=0.0, le=1_000.0)]
Percent: TypeAlias = Annotated[float, Meta(ge=0.0, le=100.0)]
ClockTime: TypeAlias = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""Wall-clock time of the exchange, `HH:MM`."""
Switch: TypeAlias = Literal["on", "off"]


def convert_parameters(strategy: str, constructor: Callable[..., object], given: Mapping[str, object]) -> dict[str, object]:
    """Check `given` against the keyword parameters of `constructor` and convert each to its annotated type.

    Text is converted (`"9"` to 9, `"none"` to None), since the command line has nothing else to give.

    Raises:
        InvalidConfig: an unknown name, a wrong type or a value out of range; it names the parameter, the value and the fix.
    """
    known = inspect.signature(constructor, eval_str=True).parameters
    converted: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidConfig(f"{strategy}.{name}", value, f"is not a parameter; known are {', '.join(known)}")
        plain = None if isinstance(value, str) and value.strip().lower() in {"none", "null"} else value
        try:
            converted[name] = msgspec.convert(plain, known[name].annotation, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidConfig(f"{strategy}.{name}", value, f"{error} (the default is {known[name].default!r})") from error
    return converted


def clock_time(name: str, text: str) -> time:
    """A `ClockTime` as a time."""
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidConfig(name, text, "write it as HH:MM") from error
