"""The strategies that come with the runtime. A strategy of your own: write the class, then add it to REGISTRY."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.errors import InvalidConfig
from runtime.strategy import Strategy
from strategies.ema_cross import EmaCross
from strategies.external import External
from strategies.index_options_scalper import IndexOptionsScalper
from strategies.parameters import convert_parameters

REGISTRY: dict[str, type[Strategy]] = {strategy.name: strategy for strategy in (IndexOptionsScalper, EmaCross, External)}


def create(name: str, parameters: Mapping[str, object] | None = None) -> Strategy:
    """A fresh instance of the strategy called `name`; parameters may be text and are checked by type and range.

    Raises:
        InvalidConfig: names the strategy or parameter, the value and the fix.
    """
    strategy = REGISTRY.get(name)
    if strategy is None:
        raise InvalidConfig("strategy", name, f"is not known; known are {', '.join(REGISTRY)}")
    return strategy(**convert_parameters(name, strategy, parameters or {}))
