"""The kill switch and its levels: the platform, a strategy, a user, or one user's subscription."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class HaltScope(StrEnum):
    PLATFORM = "platform"
    STRATEGY = "strategy"
    USER = "user"
    SUBSCRIPTION = "subscription"


class HaltTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose entries a halt stops. `strategy` is a strategy's name, for all its subscriptions, or the key of one of them."""

    scope: HaltScope = HaltScope.PLATFORM
    user_id: str | None = None
    strategy: str | None = None

    @property
    def key(self) -> str:
        """`platform`, `strategy:ema_cross`, `user:123` or `subscription:123:ema_cross:…`."""
        return ":".join(part for part in (self.scope, self.user_id, self.strategy) if part is not None)

    def concerns(self, user_id: str) -> bool:
        """Whether a trader of this user has to know of it."""
        return self.user_id is None or self.user_id == user_id

    def covers(self, user_id: str, strategy_key: str) -> bool:
        """Whether it stops the entries of this subscription."""
        named = self.strategy is None or strategy_key == self.strategy or strategy_key.startswith(f"{self.strategy}:")
        return named and self.concerns(user_id)


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """A halt in force, as a trader knows it."""

    target: HaltTarget
    reason: str


def covering(halts: Iterable[Halt], user_id: str, strategy_key: str) -> Halt | None:
    """The first of `halts` that stops the entries of this subscription."""
    for halt in halts:
        if halt.target.covers(user_id, strategy_key):
            return halt
    return None
