"""From ticks as the exchange made them to ticks as the feed delivers them: twice, late, or out of order."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.random import Generator

from adapters.simulated.config import DuplicateTicks, LateTicks, OutOfOrderTicks, SimulationConfig
from adapters.simulated.day import MarketDay
from adapters.simulated.market import SimulatedMarket, TickArrays
from adapters.simulated.paths import Mask, Steps
from runtime.market import InstrumentId


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """In order of arrival: the step at which each tick arrives, ascending, and its place in `ticks`."""

    ticks: TickArrays
    arrives: Steps
    source: Steps


def deliver(market: SimulatedMarket, instrument: InstrumentId, day: MarketDay) -> Delivery:
    ticks = market.ticks(instrument, day.date)
    count = len(ticks.steps)
    arrives, source = ticks.steps, np.arange(count)
    if not market.config.special or not count:
        return Delivery(ticks=ticks, arrives=arrives, source=source)
    random = market.random(day.date, f"delivery {instrument}")
    arrives, displaced = _delayed(arrives, day, market.config, random)
    twice = _drawn(market.config.specials(DuplicateTicks, day.date), count, random)
    arrives, displaced = np.concatenate((arrives, arrives[twice])), np.concatenate((displaced, displaced[twice]))
    source = np.concatenate((source, source[twice]))
    # A displaced tick comes after those that are on time at the same step, a duplicate after its original.
    order = np.lexsort((source, displaced, arrives))
    return Delivery(ticks=ticks, arrives=arrives[order], source=source[order])


def _delayed(arrives: Steps, day: MarketDay, config: SimulationConfig, random: Generator) -> tuple[Steps, Mask]:
    """Arrival steps with late and out-of-order ticks displaced, and which those are. The close waits for nobody."""
    delayed = arrives.copy()
    swapped = _drawn(config.specials(OutOfOrderTicks, day.date), len(arrives), random)
    swapped[-1:] = False
    delayed[swapped] = arrives[1:][swapped[:-1]]
    displaced = swapped
    for event in config.specials(LateTicks, day.date):
        late = _drawn([event], len(arrives), random)
        delayed[late] = arrives[late] + max(int(event.seconds * day.grid.per_second), 1)
        displaced = displaced | late
    return np.minimum(delayed, day.grid.steps - 1), displaced


def _drawn(events: list[DuplicateTicks] | list[LateTicks] | list[OutOfOrderTicks], count: int, random: Generator) -> Mask:
    hit = np.zeros(count, dtype=np.bool_)
    for event in events:
        hit |= random.random(count) < event.rate
    return hit
