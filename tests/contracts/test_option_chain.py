"""What every `OptionChainSource` promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from runtime.errors import BrokerUnavailable, InvalidInput
from runtime.ports import OptionChainSource
from tests.builders import DAY, at
from tests.contracts.rig import NetworkRig, Rig

UNDERLYING = "NSE:BANKNIFTY"


@pytest.fixture
async def source(rig: Rig) -> AsyncIterator[OptionChainSource]:
    made = rig.chain()
    yield made
    await made.close()


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


# --- over a network ---


async def test_a_missing_side_and_zeros_are_absent_not_zero(wire: NetworkRig) -> None:
    expiry = date(2026, 11, 24)
    await wire.spoil_chain(UNDERLYING, expiry)
    whole = await wire.chain().chain(UNDERLYING, expiry)
    assert whole.rows[0].put is None
    call = whole.rows[1].call
    assert call is not None
    assert (call.bid, call.open_interest) == (None, 0.0)
    assert whole.rows[2].call is not None
    assert whole.rows[2].call.iv is None
    strikes = [row.strike for row in whole.rows]
    assert strikes[3] - strikes[2] == 2 * (strikes[2] - strikes[1])  # the gap stays a gap


async def test_a_venue_that_does_not_answer_is_unavailable_after_some_tries(wire: NetworkRig) -> None:
    source, expiry = wire.chain(), date(2026, 11, 24)
    wire.inject(wire.faults.Answer(operation="option_chain", status=503, body="<html/>", times=3))
    with pytest.raises(BrokerUnavailable):
        await source.chain(UNDERLYING, expiry)
    assert wire.calls("option_chain") == 3
    assert (await source.chain(UNDERLYING, expiry)).rows
