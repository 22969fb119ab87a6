"""The simulated venue's list of instruments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from adapters.simulated.market import SimulatedMarket
from adapters.simulated.venue import SimulatedVenue, as_venue
from runtime.errors import InvalidInput
from runtime.market import Instrument, InstrumentId


class SimulatedInstrumentMaster:
    """`runtime.ports.InstrumentMaster`. `now` is the venue's clock; without one the near month is that of the first session."""

    def __init__(self, market: SimulatedMarket | SimulatedVenue, now: Callable[[], datetime] | None = None) -> None:
        self._venue = as_venue(market)
        self._now = now

    async def instrument(self, instrument: InstrumentId) -> Instrument:
        return self._venue.market(instrument).contracts.instrument(instrument)

    async def near_month_future(self, underlying: InstrumentId) -> Instrument | None:
        if underlying not in self._venue.underlyings:
            raise InvalidInput("underlying", underlying, f"the simulated venue lists {', '.join(self._venue.underlyings)} only")
        market = self._venue.market(underlying)
        if not market.contracts.has_contracts:
            return None
        day = market.config.sessions[0] if self._now is None else self._now().astimezone(market.calendar.zone).date()
        return market.contracts.future(market.contracts.near_month(day))
