"""What a stored document may hold, the same in every store: text, numbers, booleans, None, aware times, bytes, lists, maps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from runtime.errors import InvalidInput

_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
OPERATORS = frozenset({"$gt", "$gte", "$lt", "$lte", "$in", "$ne"})


def to_document(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` as they will be read back. Decimals, dates and enum members become text, structs maps.

    Times become UTC, cut to whole milliseconds: where microseconds matter, pass ISO text.

    Raises:
        InvalidInput: a time without zone, a field name that a database reads as a path, a value of another type.
    """
    for name in fields:
        if name.startswith("$") or "." in name:
            raise InvalidInput("field name", name, "must not hold '.' or begin with '$'")
    return {name: to_value(value) for name, value in fields.items()}


def to_value(value: object) -> Any:
    """One value, as `to_document` stores it."""
    if type(value) in _PLAIN:
        return value
    try:
        plain = msgspec.to_builtins(value, builtin_types=(datetime, bytes), str_keys=True)
    except (TypeError, NotImplementedError) as error:
        raise InvalidInput("document", value, f"{error}: use text, numbers, times, lists or maps") from error
    return _utc(plain)


def to_filter(where: Mapping[str, Any]) -> dict[str, Any]:
    """Conditions of a query: a value means equality, a map of operators a comparison.

    Raises:
        InvalidInput: as `to_value` does; also for an operator that is not one of `OPERATORS`.
    """
    return {name: _condition(condition) for name, condition in where.items()}


def _condition(condition: object) -> Any:
    value = to_value(condition)
    if isinstance(value, dict):
        for operator in cast("dict[str, Any]", value):
            if operator.startswith("$") and operator not in OPERATORS:
                raise InvalidInput("operator", operator, f"must be one of {', '.join(sorted(OPERATORS))}")
    return cast("Any", value)


def _utc(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidInput("time", value, "needs a time zone")
        return value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, dict):
        return {name: _utc(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_utc(item) for item in cast("list[Any]", value)]
    return value
