"""A subscription has one record: what it follows, how, since when and until when."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.projection import project
from runtime.events import (
    EngineInput,
    PauseSubscription,
    PublicEvent,
    RepeatCommand,
    ResumeSubscription,
    StartSession,
    Subscribe,
    Unsubscribe,
)
from runtime.session import Sizing, SizingMethod
from tests.actors.audited_day import Day
from tests.builders import SUBSCRIPTION, at, config

KEY = f"u1:{SUBSCRIPTION.key}"
_decode_event = msgspec.json.Decoder(PublicEvent).decode


async def followed(*inputs: EngineInput) -> dict[str, Any]:
    """The record of the one strategy, whose session started at 09:15."""
    day = Day()
    await day.lives(*inputs)
    return project([_decode_event(text) for text in day.texts]).changed["subscriptions"][KEY]


async def test_a_subscription_has_its_settings_since_the_start_of_the_session() -> None:
    record = await followed()
    assert (record["status"], record["since"], record["until"]) == ("ACTIVE", at("09:15"), None)
    assert (record["user_id"], record["strategy_key"], record["timeframe"]) == ("u1", SUBSCRIPTION.key, "1m")
    assert record["sizing"]["quantity"] == "30"


CHANGED = msgspec.structs.replace(SUBSCRIPTION, sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(60)))


@pytest.mark.parametrize(
    ("inputs", "status", "quantity"),
    [
        ([PauseSubscription(ts=at("10:00"), command_id="p", key=SUBSCRIPTION.key)], "PAUSED", "30"),
        (
            [
                PauseSubscription(ts=at("10:00"), command_id="p", key=SUBSCRIPTION.key),
                ResumeSubscription(ts=at("10:01"), command_id="r", key=SUBSCRIPTION.key),
            ],
            "ACTIVE",
            "30",
        ),
        ([Subscribe(ts=at("10:00"), command_id="s", subscription=CHANGED)], "ACTIVE", "60"),
        ([StartSession(ts=at("10:00"), command_id="s", config=config(capital=Decimal(7)))], "ACTIVE", "30"),
    ],
)
async def test_a_change_of_a_subscription_keeps_its_beginning(inputs: list[EngineInput], status: str, quantity: str) -> None:
    record = await followed(*inputs)
    assert (record["status"], record["since"], record["until"]) == (status, at("09:15"), None)
    assert record["sizing"]["quantity"] == quantity


LEAVE = Unsubscribe(ts=at("10:00"), command_id="u", key=SUBSCRIPTION.key)


async def test_a_subscription_that_was_left_has_an_end_until_it_is_followed_again() -> None:
    left = await followed(LEAVE)
    back = await followed(LEAVE, Subscribe(ts=at("11:00"), command_id="s", subscription=CHANGED))
    assert (left["status"], left["since"], left["until"]) == ("ENDED", at("09:15"), at("10:00"))
    assert (back["status"], back["since"], back["until"]) == ("ACTIVE", at("11:00"), None)


async def test_an_answer_said_again_follows_nothing_again() -> None:
    day = Day()
    await day.lives(LEAVE)
    first = _decode_event(day.texts[0]).data
    await day.lives(RepeatCommand(ts=at("11:00"), command_id="c", accepted=True, outcome=first))
    assert project([_decode_event(text) for text in day.texts]).changed["subscriptions"][KEY]["status"] == "ENDED"
