"""The documents of canary roll-outs, as the supervisor writes them and hosts read them when they start."""

from __future__ import annotations

import msgspec

from runtime.ports import Store
from runtime.rollouts import Rollout, RolloutState

ROLLOUTS = "rollouts"
IN_FORCE = frozenset({RolloutState.RUNNING, RolloutState.PROMOTED})
_decode_route = msgspec.json.Decoder(Rollout).decode


async def rollouts_in_force(store: Store) -> list[Rollout]:
    return [_decode_route(str(document["route"])) for document in await store.find(ROLLOUTS, {"state": {"$in": sorted(IN_FORCE)}})]
