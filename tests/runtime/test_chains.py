"""What is read off an option chain, on one small enough to add up by hand."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from runtime.chains import atm_strike, max_oi_strikes, near_the_money, pcr, pcr_change, strikes_around
from runtime.market import ChainRow, OptionChain, OptionQuote, Right
from tests.builders import at, option


def row(strike: int, call_oi: float | None, put_oi: float | None) -> ChainRow:
    return ChainRow(
        strike=strike,
        call=None if call_oi is None else OptionQuote(instrument=option(strike), price=10.0, open_interest=call_oi),
        put=None if put_oi is None else OptionQuote(instrument=option(strike, Right.PUT), price=11.0, open_interest=put_oi),
    )


def chain(*rows: ChainRow, spot: float = 52040.0) -> OptionChain:
    return OptionChain(underlying="NSE:BANKNIFTY", expiry=date(2026, 11, 24), taken_at=at("10:00"), spot=spot, rows=rows)


CHAIN = chain(row(51900, 100, 400), row(52000, 300, 500), row(52100, 700, 200), row(52200, 900, 0))


def test_pcr_is_put_over_call_open_interest() -> None:
    assert pcr(CHAIN) == 1100 / 2000
    assert pcr(chain(row(52000, 0, 5))) is None
    assert pcr(chain(row(52000, None, 5))) is None


def test_pcr_change_is_now_minus_before() -> None:
    before = chain(row(52000, 100, 50))
    assert pcr_change(CHAIN, before) == pytest.approx(0.05)
    assert pcr_change(CHAIN, chain(row(52000, 0, 5))) is None


@pytest.mark.parametrize(("spot", "strike"), [(52040, 52000), (52051, 52100), (52050, 52000), (10, 51900), (99999, 52200)])
def test_the_money_is_at_the_nearest_listed_strike(spot: float, strike: float) -> None:
    assert atm_strike(msgspec.structs.replace(CHAIN, spot=spot)) == strike


def test_no_strike_is_made_up_where_the_chain_has_a_hole() -> None:
    assert atm_strike(chain(row(51500, 1, 1), row(52300, 1, 1), spot=52000)) == 52300


def test_strikes_around_stop_at_the_ends_of_the_chain() -> None:
    assert strikes_around(CHAIN, 0) == [52000]
    assert strikes_around(CHAIN, 1) == [51900, 52000, 52100]
    assert strikes_around(CHAIN, 3) == [51900, 52000, 52100, 52200]


def test_largest_open_interest_first() -> None:
    assert max_oi_strikes(CHAIN, Right.CALL) == [52200]
    assert max_oi_strikes(CHAIN, Right.PUT, 2) == [52000, 51900]
    assert max_oi_strikes(CHAIN, Right.PUT, 9) == [52000, 51900, 52100]  # none at 52200


def test_the_contract_near_the_money_is_one_that_is_listed() -> None:
    call, put = near_the_money(CHAIN, Right.CALL), near_the_money(CHAIN, Right.PUT)
    assert call is not None
    assert put is not None
    assert (call.instrument.id, put.instrument.id) == ("NSE:BANKNIFTY26NOV52000CE", "NSE:BANKNIFTY26NOV52000PE")

    without_put = chain(row(52000, 1, None), row(52200, 1, 1))
    put = near_the_money(without_put, Right.PUT)
    assert put is not None
    assert put.instrument.strike == 52200
    assert near_the_money(chain(row(52000, 1, None)), Right.PUT) is None
