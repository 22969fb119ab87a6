"""Yesterday's list against today's, and what each broker calls an instrument."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from runtime.errors import InvalidMarketData
from runtime.instruments import Change, check_master, compare_masters
from runtime.market import Instrument, InstrumentId
from tests.builders import FUTURE, option

TODAY = date(2026, 11, 25)  # the day after the November contracts have expired
DECEMBER = msgspec.structs.replace(FUTURE, id="NSE:BANKNIFTY26DECFUT", expiry=date(2026, 12, 29))


def master(*instruments: Instrument) -> dict[InstrumentId, Instrument]:
    return {instrument.id: instrument for instrument in instruments}


def contracts(count: int) -> list[Instrument]:
    return [msgspec.structs.replace(option(strike=50_000 + 100 * n), id=f"NSE:O{n}", expiry=date(2026, 12, 29)) for n in range(count)]


def test_what_is_new_expired_gone_and_changed_is_told_apart() -> None:
    stays, delisted, listed = contracts(3)
    larger = msgspec.structs.replace(stays, lot_size=Decimal(35), freeze_quantity=Decimal(595))

    diff = compare_masters(master(FUTURE, stays, delisted), master(larger, listed, DECEMBER), TODAY)

    assert diff.new == ("NSE:BANKNIFTY26DECFUT", listed.id)
    assert diff.expired == (FUTURE.id,)
    assert diff.delisted == (delisted.id,)
    assert diff.changed == (
        Change(instrument=stays.id, field="lot_size", before=Decimal(30), after=Decimal(35)),
        Change(instrument=stays.id, field="freeze_quantity", before=None, after=Decimal(595)),
    )
    assert diff.listed == 3


def test_the_same_list_again_says_nothing_new() -> None:
    same = master(FUTURE, *contracts(5))
    assert compare_masters(same, dict(same), date(2026, 11, 20)).is_empty


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InvalidMarketData, match="empty or torn"):
        check_master({}, {}, TODAY)


@pytest.mark.parametrize(("left", "torn"), [(100, False), (80, False), (79, True), (1, True)])
def test_a_list_that_lacks_more_than_a_fifth_of_what_should_be_there_is_torn(left: int, torn: bool) -> None:
    before, after = master(*contracts(100), FUTURE), master(*contracts(left))
    if torn:
        with pytest.raises(InvalidMarketData, match=rf"{left} of 100 instruments.*it is torn"):
            check_master(before, after, TODAY)
    else:
        check_master(before, after, TODAY)


def test_a_list_of_an_earlier_day_is_refused_by_its_expired_contracts() -> None:
    with pytest.raises(InvalidMarketData, match=r"101 of 101 contracts.*expired before 2027-01-04, up to 2026-12-29: it is old"):
        check_master({}, master(*contracts(100), DECEMBER), date(2027, 1, 4))
    check_master({}, master(*contracts(100), FUTURE), TODAY)  # one that the vendor forgot
