"""PUBLISH_SIGNAL as other programs write it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from runtime.commands import InvalidCommand, PublishSignal, SignalData, parse_command
from runtime.signals import Side

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def message(**data: Any) -> bytes:
    least = {"strategyId": "alerts", "symbol": "NSE:BANKNIFTY", "signal": "buy"}
    return json.dumps({"action": "PUBLISH_SIGNAL", "data": least | data}).encode()


def published(**data: Any) -> SignalData:
    command = parse_command(message(**data), NOW)
    assert isinstance(command, PublishSignal)
    return command.data


@pytest.mark.parametrize(
    ("sent", "side"),
    [
        *((word, Side.LONG) for word in ("buy", "BUY", "Long", " long ", 1, "1", 1.0)),
        *((word, Side.SHORT) for word in ("sell", "Short", -1, "-1", -1.0)),
        *((word, Side.FLAT) for word in ("flat", "EXIT", 0, "0", 0.0)),
    ],
)
def test_a_side_has_many_names(sent: object, side: Side) -> None:
    assert published(signal=sent).signal is side


@pytest.mark.parametrize("sent", ["", "hold", "2", 2, 0.5, True, None, ["buy"], "{{strategy.order.action}}"])
def test_what_names_no_side_is_refused_with_the_names_there_are(sent: object) -> None:
    with pytest.raises(InvalidCommand) as refused:
        parse_command(message(signal=sent), NOW)
    assert (refused.value.field, refused.value.detail) == (
        "data.signal",
        "must be 1, -1, 0 or one of buy, long, sell, short, flat, exit",
    )


def test_all_that_a_signal_may_carry() -> None:
    data = published(signalId="bar 7", price=52000, stop="51900.5", target=52300.25, timestamp="2026-11-20T09:31:00+05:30")
    assert (data.signal_id, data.price, data.stop, data.target) == ("bar 7", Decimal(52000), Decimal("51900.5"), Decimal("52300.25"))
    assert data.timestamp == datetime(2026, 11, 20, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strategyId", ""),
        ("strategyId", "a b"),
        ("symbol", "banknifty"),
        ("price", 0),
        ("price", -1),
        ("stop", "NaN"),
        ("target", 1e300),
        ("timestamp", "2026-11-20T09:31:00"),
        ("timestamp", 5),
        ("signalId", "x" * 129),
        ("surprise", 1),
    ],
)
def test_anything_else_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidCommand) as refused:
        parse_command(message(**{field: value}), NOW)
    assert refused.value.field == f"data.{field}"
