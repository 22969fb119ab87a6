"""One subscription of a running session: followed, paused, resumed, followed no longer."""

from __future__ import annotations

import msgspec

from runtime.engine.entering import drop_pending
from runtime.engine.leaving import request_exit
from runtime.engine.session import accept, configure, reject, require_session, subscription_changes
from runtime.engine.turn import Turn
from runtime.events import ExitReason, PauseSubscription, ResumeSubscription, Subscribe, Unsubscribe
from runtime.reconcile import SkipReason
from runtime.session import OnBreach, SessionConfig, Subscription


def on_subscribe(turn: Turn, event: Subscribe) -> None:
    """The same key again changes that subscription's settings."""
    if not require_session(turn, event.command_id, "SUBSCRIBE"):
        return
    key = event.subscription.key
    updated = turn.subscriptions.get(key) is not None
    config = _with(turn, key, event.subscription)
    accept(turn, event.command_id, "SUBSCRIBE", subscription=key, updated=updated, **subscription_changes(turn, config))
    configure(turn, config)


def on_unsubscribe(turn: Turn, event: Unsubscribe) -> None:
    if _find(turn, event.command_id, "UNSUBSCRIBE", event.key) is None:
        return
    config = _with(turn, event.key, None)
    accept(turn, event.command_id, "UNSUBSCRIBE", subscription=event.key, **subscription_changes(turn, config))
    if event.positions is OnBreach.CLOSE:
        request_exit(turn, turn.state.slots[event.key], ExitReason.MANUAL)
    configure(turn, config)


def on_pause(turn: Turn, event: PauseSubscription) -> None:
    subscription = _find(turn, event.command_id, "PAUSE_SUBSCRIPTION", event.key)
    if subscription is None:
        return
    config = _with(turn, event.key, msgspec.structs.replace(subscription, paused=True))
    accept(turn, event.command_id, "PAUSE_SUBSCRIPTION", subscription=event.key, **subscription_changes(turn, config))
    slot = turn.state.slots[event.key]
    drop_pending(turn, slot, SkipReason.PAUSED, "PAUSE_SUBSCRIPTION came while it waited")
    turn.cancel_entry(slot)
    configure(turn, config)


def on_resume(turn: Turn, event: ResumeSubscription) -> None:
    subscription = _find(turn, event.command_id, "RESUME_SUBSCRIPTION", event.key)
    if subscription is None:
        return
    config = _with(turn, event.key, msgspec.structs.replace(subscription, paused=False))
    accept(turn, event.command_id, "RESUME_SUBSCRIPTION", subscription=event.key, **subscription_changes(turn, config))
    configure(turn, config)


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


def _with(turn: Turn, key: str, subscription: Subscription | None) -> SessionConfig:
    """The session's settings with this subscription in the place of the one with the same key, at the end if there was none."""
    config = turn.state.config
    kept = [subscription if each.key == key else each for each in config.subscriptions]
    if subscription is not None and subscription not in kept:
        kept.append(subscription)
    return msgspec.structs.replace(config, subscriptions=tuple(each for each in kept if each is not None))
