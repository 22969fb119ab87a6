"""What commands about one subscription make of a session's configuration, as its engine will make it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from runtime.commands import PauseSubscription, ResumeSubscription, Subscribe, Unsubscribe
from runtime.session import SessionConfig, Subscription

SubscriptionCommand: TypeAlias = Subscribe | Unsubscribe | PauseSubscription | ResumeSubscription


def with_subscription(config: SessionConfig, subscription: Subscription) -> SessionConfig:
    """In the place of the one with the same key, at the end if there is none."""
    if any(each.key == subscription.key for each in config.subscriptions):
        return _each(config, lambda each: subscription if each.key == subscription.key else each)
    return msgspec.structs.replace(config, subscriptions=(*config.subscriptions, subscription))


def without(config: SessionConfig, key: str) -> SessionConfig:
    return _each(config, lambda each: None if each.key == key else each)


def paused(config: SessionConfig, key: str, *, is_paused: bool) -> SessionConfig:
    return _each(config, lambda each: msgspec.structs.replace(each, paused=is_paused) if each.key == key else each)


def _each(config: SessionConfig, change: Callable[[Subscription], Subscription | None]) -> SessionConfig:
    changed = (change(each) for each in config.subscriptions)
    return msgspec.structs.replace(config, subscriptions=tuple(each for each in changed if each is not None))
