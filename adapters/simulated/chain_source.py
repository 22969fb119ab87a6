"""The simulated venue's option chain, with its faults."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import msgspec

from adapters.simulated.config import ChainError, FrozenChain, TornChain, WindowEvent
from adapters.simulated.market import SimulatedMarket
from runtime.errors import BrokerUnavailable, InvalidInput
from runtime.market import InstrumentId, OptionChain


class SimulatedOptionChainSource:
    """`runtime.ports.OptionChainSource`. `now` is the venue's clock, such as `SimulatedFeed.now`."""

    def __init__(self, market: SimulatedMarket, now: Callable[[], datetime]) -> None:
        self._market = market
        self._now = now

    async def expiries(self, underlying: InstrumentId) -> list[date]:
        self._check(underlying)
        return self._market.contracts.expiries(self._day())

    async def chain(self, underlying: InstrumentId, expiry: date) -> OptionChain:
        self._check(underlying)
        if self._started(ChainError) is not None:
            raise BrokerUnavailable(f"the simulated venue does not answer the option chain of {underlying}")
        chain = self._market.chain(expiry, self._started(FrozenChain) or self._now())
        if self._started(TornChain) is not None:
            middle = len(chain.rows) // 2
            return msgspec.structs.replace(chain, rows=chain.rows[: middle + 3] + chain.rows[middle:])
        return chain

    async def close(self) -> None:
        """Nothing is held open."""

    def _started(self, kind: type[ChainError | FrozenChain | TornChain]) -> datetime | None:
        """When the fault of this kind that holds now began."""
        now, day = self._now(), self._day()
        for event in self._market.config.specials(kind, day):
            start = self._start(event, day)
            if start <= now < start + timedelta(minutes=event.minutes):
                return start
        return None

    def _start(self, event: WindowEvent, day: date) -> datetime:
        return datetime.combine(day, event.start, self._market.calendar.zone).astimezone(UTC)

    def _day(self) -> date:
        return self._now().astimezone(self._market.calendar.zone).date()

    def _check(self, underlying: InstrumentId) -> None:
        if underlying != self._market.config.underlying:
            raise InvalidInput("underlying", underlying, f"the simulated venue lists options of {self._market.config.underlying} only")
