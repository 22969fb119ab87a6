"""A venue of several underlyings: each has a market of its own, and one feed, list of instruments and chain source serve them all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from adapters.simulated.config import BANKNIFTY, ContractTerms, SimulationConfig, SpotTerms
from adapters.simulated.market import SimulatedMarket
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidConfig, InvalidInput
from runtime.market import Instrument, InstrumentId

NIFTY: InstrumentId = "NSE:NIFTY"
BITCOIN: InstrumentId = "BTC/USDT"
_BITCOIN_VOLATILITY = 0.55
_NIFTY_TERMS = (
    ContractTerms(first_expiry=date.min, lot_size=25, freeze_quantity=1800),
    ContractTerms(first_expiry=date(2025, 2, 1), lot_size=75, freeze_quantity=1800),
    ContractTerms(first_expiry=date(2026, 1, 1), lot_size=65, freeze_quantity=1755),
)
"""From the same sources as `BANKNIFTY_TERMS`."""


def simulation(
    underlying: InstrumentId = BANKNIFTY, *, sessions: tuple[date, ...] = (date(2026, 11, 20),), seed: int = 7, ticks_per_second: int = 2
) -> SimulationConfig:
    """The usual settings of an underlying: NIFTY and BTC/USDT have their own, any other is an index like Bank Nifty."""
    common = SimulationConfig(underlying=underlying, sessions=sessions, seed=seed, ticks_per_second=ticks_per_second)
    match underlying:
        case "NSE:NIFTY":
            more = {"start_price": 26_000.0, "annual_volatility": 0.13, "strike_step": 50, "contract_terms": _NIFTY_TERMS}
        case "BTC/USDT":
            more = {"start_price": 90_000.0, "annual_volatility": _BITCOIN_VOLATILITY, "spot": SpotTerms()}
        case _:
            return common
    return msgspec.structs.replace(common, **more)


class SimulatedVenue:
    """The markets of one venue, in order of time one after the other or side by side as their sessions have it.

    Raises:
        InvalidConfig: none, or two of the same underlying.
    """

    def __init__(self, *markets: SimulatedMarket) -> None:
        names = [market.config.underlying for market in markets]
        if not names or len(set(names)) != len(names):
            raise InvalidConfig("markets", names, "give at least one, each of another underlying")
        self.markets: Sequence[SimulatedMarket] = markets
        self.underlyings: Sequence[InstrumentId] = names

    def opens_at(self) -> datetime:
        """The first open of the first session."""
        return min(market.day(market.config.sessions[0]).grid.opened_at for market in self.markets)

    def calendar_of(self, instrument: Instrument) -> ExchangeCalendar:
        """When the market that lists `instrument` trades."""
        return self.market(instrument.id).calendar

    def listed(self) -> frozenset[InstrumentId]:
        """What strategies may run on: the underlyings, and their futures on the days of the sessions."""
        futures = {
            market.contracts.future(expiry).id
            for market in self.markets
            for day in (market.config.sessions[0], market.config.sessions[-1])
            for expiry in market.contracts.expiries(day)
        }
        return frozenset(futures.union(self.underlyings))

    def with_options(self) -> list[InstrumentId]:
        """The underlyings that have option chains."""
        return [market.config.underlying for market in self.markets if market.contracts.has_contracts]

    def market(self, instrument: InstrumentId) -> SimulatedMarket:
        """The market that lists `instrument`. Raises `InvalidInput` when none does, with what the nearest one says."""
        refusals: list[InvalidInput] = []
        for market in self.markets:
            try:
                market.contracts.instrument(instrument)
            except InvalidInput as error:
                refusals.append(error)
            else:
                return market
        raise next(
            (refusal for market, refusal in zip(self.markets, refusals, strict=True) if instrument.startswith(market.config.underlying)),
            refusals[0],
        )


def as_venue(market: SimulatedMarket | SimulatedVenue) -> SimulatedVenue:
    """A market alone is a venue of one."""
    return market if isinstance(market, SimulatedVenue) else SimulatedVenue(market)
