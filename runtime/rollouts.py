"""Canary roll-out: a share of a strategy's followers hears a candidate's signals in the place of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec

from runtime.signals import Signal

_BUCKETS = 2**64


class RolloutState(StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """Of those who follow the strategy key `baseline`, `share` (0 to 1) follow `candidate` instead; their slots keep the baseline's
    key. Who they are depends on user id and candidate alone: on every host, after every restart, the same.
    """

    baseline: str
    candidate: str
    share: float

    def takes(self, user_id: str) -> bool:
        digest = hashlib.blake2s(f"{self.candidate}\x1f{user_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * _BUCKETS


def addressed(
    signal: Signal, followers: Mapping[str, Iterable[str]], rollouts: Mapping[str, Rollout]
) -> Iterator[tuple[Signal, list[str]]]:
    """Who hears `signal`, and as what. `followers`: strategy key -> users; `rollouts`: baseline key -> roll-out in force."""
    key = signal.strategy_key
    leaving = rollouts.get(key)
    own = [user_id for user_id in followers.get(key, ()) if leaving is None or not leaving.takes(user_id)]
    if own:
        yield signal, own
    for rollout in rollouts.values():
        if rollout.candidate == key:
            joining = [user_id for user_id in followers.get(rollout.baseline, ()) if rollout.takes(user_id)]
            if joining:
                context = {**signal.context, "canary": key}
                yield msgspec.structs.replace(signal, strategy_key=rollout.baseline, context=context), joining
