"""Several underlyings behind one feed, one list of instruments and one chain source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from adapters.simulated import (
    FreePacer,
    SimulatedFeed,
    SimulatedInstrumentMaster,
    SimulatedMarket,
    SimulatedOptionChainSource,
    SimulatedVenue,
    simulation,
)
from runtime.errors import InvalidConfig, InvalidInput
from runtime.market import FeedClock, FeedEvent, InstrumentId, InstrumentKind, Segment, Tick
from tests.adapters.simulated.builders import DAY, at

BANKNIFTY, NIFTY, BITCOIN = "NSE:BANKNIFTY", "NSE:NIFTY", "BTC/USDT"


def venue(*underlyings: InstrumentId, seed: int = 7) -> SimulatedVenue:
    return SimulatedVenue(*(SimulatedMarket(simulation(name, seed=seed, ticks_per_second=1)) for name in underlyings))


async def ticks(place: SimulatedVenue, instruments: Sequence[InstrumentId], start: str, end: str) -> list[Sequence[FeedEvent]]:
    feed = SimulatedFeed(place, FreePacer(), resume_from=at(start))
    await feed.subscribe(instruments)
    batches: list[Sequence[FeedEvent]] = []
    async for batch in feed.stream():
        if feed.now() > at(end):
            return batches
        batches.append(batch)
    return batches


def of(batches: Sequence[Sequence[FeedEvent]], instrument: InstrumentId) -> list[Tick]:
    return [event for batch in batches for event in batch if isinstance(event, Tick) and event.instrument == instrument]


@pytest.mark.parametrize("others", [(NIFTY,), (BITCOIN,), (NIFTY, BITCOIN)])
async def test_another_underlying_changes_no_tick_of_this_one(others: tuple[InstrumentId, ...]) -> None:
    contracts = [BANKNIFTY, "NSE:BANKNIFTY26NOVFUT", "NSE:BANKNIFTY26NOV52000CE"]
    alone = await ticks(venue(BANKNIFTY), contracts, "10:00", "10:05")
    among = await ticks(venue(*others, BANKNIFTY), [*contracts, *others], "10:00", "10:05")

    for contract in contracts:
        assert len(of(alone, contract)) == 300
        assert of(among, contract) == of(alone, contract)
    assert all(of(among, other) for other in others)


def test_underlyings_of_one_seed_go_their_own_ways() -> None:
    returns = [
        np.diff(np.log([candle.close for candle in SimulatedMarket(simulation(name)).candles(name, DAY)])) for name in (BANKNIFTY, NIFTY)
    ]
    assert abs(float(np.corrcoef(*returns)[0, 1])) < 0.2


async def test_moments_ascend_and_each_has_one_clock_at_its_end() -> None:
    batches = await ticks(venue(BANKNIFTY, NIFTY, BITCOIN), [BANKNIFTY, NIFTY, BITCOIN], "15:29", "15:31")
    clocks = [batch[-1] for batch in batches]
    assert all(isinstance(clock, FeedClock) for clock in clocks)
    assert all(sum(isinstance(event, FeedClock) for event in batch) == 1 for batch in batches)
    assert all(earlier.ts < later.ts for earlier, later in pairwise(clocks))
    before, after = [batch for batch in batches if batch[-1].ts <= at("15:30")], [batch for batch in batches if batch[-1].ts > at("15:30")]
    assert Counter(event.instrument for batch in before for event in batch if isinstance(event, Tick)) == dict.fromkeys(
        (BANKNIFTY, NIFTY, BITCOIN), 60
    )
    assert {event.instrument for batch in after for event in batch if isinstance(event, Tick)} == {BITCOIN}  # the index has closed


async def test_a_coin_trades_all_day_with_volume_bid_and_ask_of_its_own() -> None:
    market = SimulatedMarket(simulation(BITCOIN, sessions=(date(2026, 11, 22),), ticks_per_second=1))  # a Sunday
    candles = market.candles(BITCOIN, date(2026, 11, 22))
    assert len(candles) == 1440
    assert candles[0].opened_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert all(candle.volume is not None and candle.volume >= 0 for candle in candles)
    assert sum(candle.volume or 0.0 for candle in candles) > 0
    prices = market.ticks(BITCOIN, date(2026, 11, 22))
    assert prices.bid is not None
    assert prices.ask is not None
    assert bool((prices.bid < prices.ask).all())

    instrument = await SimulatedInstrumentMaster(market).instrument(BITCOIN)
    assert (instrument.kind, instrument.segment, instrument.currency) == (InstrumentKind.SPOT, Segment.CRYPTO, "USDT")
    assert await SimulatedInstrumentMaster(market).near_month_future(BITCOIN) is None


async def test_each_underlying_has_its_own_contracts_and_chain() -> None:
    place = venue(BANKNIFTY, NIFTY, BITCOIN)
    master, source = SimulatedInstrumentMaster(place), SimulatedOptionChainSource(place, lambda: at("10:00"))

    future = await master.near_month_future(NIFTY)
    assert future is not None
    assert (future.id, future.lot_size, future.freeze_quantity) == ("NSE:NIFTY26NOVFUT", Decimal(65), Decimal(1755))
    chain = await source.chain(NIFTY, (await source.expiries(NIFTY))[0])
    assert {later.strike - earlier.strike for earlier, later in pairwise(chain.rows)} == {50.0}
    assert await source.expiries(BITCOIN) == []
    assert place.with_options() == [BANKNIFTY, NIFTY]
    assert {BANKNIFTY, NIFTY, BITCOIN, "NSE:NIFTY26NOVFUT", "NSE:BANKNIFTY26DECFUT"} <= place.listed()


async def test_what_nobody_lists_is_refused_by_the_market_it_belongs_to() -> None:
    place = venue(BANKNIFTY, NIFTY)
    with pytest.raises(InvalidInput, match="multiples of 50"):
        place.market("NSE:NIFTY26NOV26010CE")
    with pytest.raises(InvalidInput, match="NSE:SENSEX"):
        place.market("NSE:SENSEX")


def test_a_venue_of_nothing_or_of_one_underlying_twice_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="at least one"):
        SimulatedVenue()
    with pytest.raises(InvalidConfig, match="another underlying"):
        venue(NIFTY, NIFTY)
