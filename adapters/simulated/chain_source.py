"""The simulated venue's option chain, with its faults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import msgspec

from adapters.simulated.config import ChainError, FrozenChain, TornChain, WindowEvent
from adapters.simulated.market import SimulatedMarket
from adapters.simulated.venue import SimulatedVenue, as_venue
from runtime.errors import BrokerUnavailable, InvalidInput
from runtime.market import InstrumentId, OptionChain


class SimulatedOptionChainSource:
    """`runtime.ports.OptionChainSource`. `now` is the venue's clock, such as `SimulatedFeed.now`."""

    def __init__(self, market: SimulatedMarket | SimulatedVenue, now: Callable[[], datetime]) -> None:
        self._venue = as_venue(market)
        self._now = now

    async def expiries(self, underlying: InstrumentId) -> list[date]:
        market = self._market(underlying)
        return market.contracts.expiries(self._day(market))

    async def chain(self, underlying: InstrumentId, expiry: date) -> OptionChain:
        market = self._market(underlying)
        if self._started(market, ChainError) is not None:
            raise BrokerUnavailable(f"the simulated venue does not answer the option chain of {underlying}")
        chain = market.chain(expiry, self._started(market, FrozenChain) or self._now())
        if self._started(market, TornChain) is not None:
            middle = len(chain.rows) // 2
            return msgspec.structs.replace(chain, rows=chain.rows[: middle + 3] + chain.rows[middle:])
        return chain

    async def close(self) -> None:
        """Nothing is held open."""

    def _started(self, market: SimulatedMarket, kind: type[ChainError | FrozenChain | TornChain]) -> datetime | None:
        """When the fault of this kind that holds now began."""
        now, day = self._now(), self._day(market)
        for event in market.config.specials(kind, day):
            start = _start(event, day, market)
            if start <= now < start + timedelta(minutes=event.minutes):
                return start
        return None

    def _day(self, market: SimulatedMarket) -> date:
        return self._now().astimezone(market.calendar.zone).date()

    def _market(self, underlying: InstrumentId) -> SimulatedMarket:
        for market in self._venue.markets:
            if market.config.underlying == underlying:
                return market
        raise InvalidInput("underlying", underlying, f"the simulated venue lists options of {', '.join(self._venue.underlyings)} only")


def _start(event: WindowEvent, day: date, market: SimulatedMarket) -> datetime:
    return datetime.combine(day, event.start, market.calendar.zone).astimezone(UTC)
