"""A seeded exchange: one market model behind a feed, an option chain and an instrument master."""

from adapters.simulated.chain_source import SimulatedOptionChainSource
from adapters.simulated.config import SimulationConfig
from adapters.simulated.feed import SimulatedFeed
from adapters.simulated.instrument_master import SimulatedInstrumentMaster
from adapters.simulated.market import SimulatedMarket
from adapters.simulated.pacing import FreePacer, Pacer, ScaledPacer
from adapters.simulated.venue import SimulatedVenue, as_venue, simulation

__all__ = [
    "FreePacer",
    "Pacer",
    "ScaledPacer",
    "SimulatedFeed",
    "SimulatedInstrumentMaster",
    "SimulatedMarket",
    "SimulatedOptionChainSource",
    "SimulatedVenue",
    "SimulationConfig",
    "as_venue",
    "simulation",
]
