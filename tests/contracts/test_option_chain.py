"""What every `OptionChainSource` promises."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import pytest

from adapters.simulated import SimulatedMarket, SimulatedOptionChainSource, SimulationConfig
from runtime.errors import BrokerUnavailable, InvalidInput
from runtime.ports import OptionChainSource
from tests.builders import at
from tests.contracts.broker_rigs import UpstoxRig

UNDERLYING = "NSE:BANKNIFTY"
DAY = date(2026, 11, 20)


@asynccontextmanager
async def simulated() -> AsyncIterator[OptionChainSource]:
    yield SimulatedOptionChainSource(SimulatedMarket(SimulationConfig(sessions=(DAY,))), lambda: at("10:00"))


@asynccontextmanager
async def upstox() -> AsyncIterator[OptionChainSource]:
    from adapters.option_chains.upstox import UpstoxOptionChainSource

    async with UpstoxRig() as rig:
        source = UpstoxOptionChainSource(rig.client("U1"), rig.table, rig.now)
        yield source
        await source.close()


@pytest.fixture(params=[simulated, upstox], ids=["simulated", "upstox"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[OptionChainSource]:
    async with request.param() as ready:
        yield ready


async def test_expiries_ascend_and_are_not_past(source: OptionChainSource) -> None:
    expiries = await source.expiries(UNDERLYING)
    assert expiries == sorted(set(expiries))
    assert expiries[0] >= DAY
    assert expiries[0] - DAY < timedelta(days=35)


async def test_a_chain_ascends_around_its_spot_and_carries_contracts_of_that_expiry(source: OptionChainSource) -> None:
    expiry = (await source.expiries(UNDERLYING))[0]
    chain = await source.chain(UNDERLYING, expiry)
    strikes = [row.strike for row in chain.rows]
    assert strikes == sorted(strikes)
    assert strikes[0] < chain.spot < strikes[-1]
    assert chain.taken_at == at("10:00")
    quotes = [quote for row in chain.rows for quote in (row.call, row.put) if quote is not None]
    assert {quote.instrument.expiry for quote in quotes} == {expiry}
    assert {quote.instrument.underlying for quote in quotes} == {UNDERLYING}
    for row in chain.rows:
        assert row.call is None or (row.call.instrument.strike, row.call.instrument.right) == (row.strike, "CE")
        assert row.put is None or (row.put.instrument.strike, row.put.instrument.right) == (row.strike, "PE")
    near = min(chain.rows, key=lambda row: abs(row.strike - chain.spot))
    assert near.call is not None
    assert near.call.price is not None
    assert near.call.iv is not None
    assert 0.03 < near.call.iv < 1.5  # a fraction, not a percentage


async def test_an_underlying_that_is_not_listed_is_refused(source: OptionChainSource) -> None:
    with pytest.raises(InvalidInput):
        await source.chain("NSE:NOWHERE", DAY)


# --- over a wire ---


@pytest.fixture
async def wire() -> AsyncIterator[tuple[UpstoxRig, OptionChainSource]]:
    from adapters.option_chains.upstox import UpstoxOptionChainSource

    async with UpstoxRig() as rig:
        yield rig, UpstoxOptionChainSource(rig.client("U1"), rig.table, rig.now)


async def test_a_missing_side_and_zeros_are_absent_not_zero(wire: tuple[UpstoxRig, OptionChainSource]) -> None:
    from tests.venues.upstox.faults import Answer

    rig, source = wire
    params = {"instrument_key": rig.table.key(UNDERLYING), "expiry_date": "2026-11-24"}
    rows: list[Any] = json.loads(await rig.client("U1").read("/v2/option/chain", params))
    rows[0]["put_options"] = None
    rows[1]["call_options"]["market_data"] |= {"bid_price": 0, "oi": 0}
    rows[2]["call_options"]["option_greeks"]["iv"] = 0.0
    del rows[3]
    rig.venue.faults.add(Answer(operation="option_chain", status=200, body=json.dumps({"status": "success", "data": rows})))
    whole = await source.chain(UNDERLYING, date(2026, 11, 24))
    assert whole.rows[0].put is None
    call = whole.rows[1].call
    assert call is not None
    assert (call.bid, call.open_interest) == (None, 0.0)
    assert whole.rows[2].call is not None
    assert whole.rows[2].call.iv is None
    strikes = [row.strike for row in whole.rows]
    assert strikes[3] - strikes[2] == 2 * (strikes[2] - strikes[1])  # the gap stays a gap


async def test_a_venue_that_does_not_answer_is_unavailable_after_some_tries(wire: tuple[UpstoxRig, OptionChainSource]) -> None:
    from tests.venues.upstox.faults import Answer

    rig, source = wire
    rig.venue.faults.add(Answer(operation="option_chain", status=503, body="<html/>", times=3))
    with pytest.raises(BrokerUnavailable):
        await source.chain(UNDERLYING, date(2026, 11, 24))
    assert rig.calls("option_chain") == 3
    assert (await source.chain(UNDERLYING, date(2026, 11, 24))).rows
