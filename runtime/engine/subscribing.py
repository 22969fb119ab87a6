"""One subscription of a running session: followed, paused, resumed, followed no longer."""

from __future__ import annotations

import msgspec

from runtime.engine.entering import drop_pending
from runtime.engine.leaving import request_exit
from runtime.engine.session import accept, configure, reject, require_session
from runtime.engine.turn import Turn
from runtime.events import ExitReason, PauseSubscription, ResumeSubscription, SkipReason, Subscribe, Unsubscribe
from runtime.session import OnBreach, Subscription


def on_subscribe(turn: Turn, event: Subscribe) -> None:
    """The same key again changes that subscription's settings."""
    if not require_session(turn, event.command_id, "SUBSCRIBE"):
        return
    key = event.subscription.key
    updated = turn.subscriptions.get(key) is not None
    accept(turn, event.command_id, "SUBSCRIBE", subscription=key, updated=updated)
    _replace(turn, key, event.subscription)


def on_unsubscribe(turn: Turn, event: Unsubscribe) -> None:
    if _find(turn, event.command_id, "UNSUBSCRIBE", event.key) is None:
        return
    accept(turn, event.command_id, "UNSUBSCRIBE", subscription=event.key)
    if event.positions is OnBreach.CLOSE:
        request_exit(turn, turn.state.slots[event.key], ExitReason.MANUAL)
    _replace(turn, event.key, None)


def on_pause(turn: Turn, event: PauseSubscription) -> None:
    subscription = _find(turn, event.command_id, "PAUSE_SUBSCRIPTION", event.key)
    if subscription is None:
        return
    accept(turn, event.command_id, "PAUSE_SUBSCRIPTION", subscription=event.key)
    slot = turn.state.slots[event.key]
    drop_pending(turn, slot, SkipReason.PAUSED, "PAUSE_SUBSCRIPTION came while it waited")
    turn.cancel_entry(slot)
    _replace(turn, event.key, msgspec.structs.replace(subscription, paused=True))


def on_resume(turn: Turn, event: ResumeSubscription) -> None:
    subscription = _find(turn, event.command_id, "RESUME_SUBSCRIPTION", event.key)
    if subscription is None:
        return
    accept(turn, event.command_id, "RESUME_SUBSCRIPTION", subscription=event.key)
    _replace(turn, event.key, msgspec.structs.replace(subscription, paused=False))


def _find(turn: Turn, command_id: str, action: str, key: str) -> Subscription | None:
    """The running session's subscription, or None once the user has been told what is wrong."""
    if not require_session(turn, command_id, action):
        return None
    subscription = turn.subscriptions.get(key)
    if subscription is None:
        known = ", ".join(each.key for each in turn.state.config.subscriptions) or "none"
        reject(
            turn,
            command_id,
            action,
            field="data.subscription",
            reason="not_subscribed",
            detail=f"{key!r} is not followed: {known} is",
        )
    return subscription


def _replace(turn: Turn, key: str, subscription: Subscription | None) -> None:
    """The session with this subscription in the place of the one with the same key, at the end if there was none."""
    config = turn.state.config
    kept = [subscription if each.key == key else each for each in config.subscriptions]
    if subscription is not None and subscription not in kept:
        kept.append(subscription)
    subscriptions = tuple(each for each in kept if each is not None)
    configure(turn, msgspec.structs.replace(config, subscriptions=subscriptions))
