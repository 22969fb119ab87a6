"""Canonical symbols against Upstox's keys, on the vendor's real files and on rows written by hand."""

from __future__ import annotations

import gzip
import json
from datetime import date
from decimal import Decimal

import pytest

from adapters.upstox.instruments import InstrumentTable, MasterRow, read_master
from runtime.errors import InvalidInput, InvalidMarketData
from runtime.market import InstrumentKind, Right
from tests.shared_data import shared


def row(**changes: object) -> MasterRow:
    fields: dict[str, object] = {
        "instrument_key": "NSE_FO|50912",
        "segment": "NSE_FO",
        "trading_symbol": "BANKNIFTY 54100 PE 27 JAN 26",
        "instrument_type": "PE",
        "lot_size": Decimal(30),
        "freeze_quantity": Decimal(600),
        "tick_size": Decimal("5.0"),
        "expiry": "2026-01-27",
        "strike_price": 54100.0,
        "underlying_key": "NSE_INDEX|Nifty Bank",
        "underlying_symbol": "BANKNIFTY",
    }
    return MasterRow(**(fields | changes))  # type: ignore[arg-type]


def test_a_row_becomes_a_contract_with_lot_freeze_quantity_and_a_tick_in_rupees() -> None:
    table = InstrumentTable([row()])
    contract = table.instrument("NSE:BANKNIFTY26JAN54100PE")
    assert (contract.kind, contract.right, contract.strike, contract.expiry) == (
        InstrumentKind.OPTION,
        Right.PUT,
        54100.0,
        date(2026, 1, 27),
    )
    assert (contract.lot_size, contract.freeze_quantity, contract.tick_size) == (Decimal(30), Decimal(600), Decimal("0.05"))
    assert contract.underlying == "NSE:BANKNIFTY"
    assert table.key(contract.id) == "NSE_FO|50912"
    assert table.id_of("NSE_FO|50912") == contract.id


def test_the_last_expiry_of_a_month_is_named_by_its_month_the_others_by_their_day() -> None:
    expiries = ("2026-11-03", "2026-11-17", "2026-11-24", "2026-12-29")
    rows = [
        row(instrument_key=f"NSE_FO|{n}", expiry=expiry, underlying_symbol="NIFTY", strike_price=25900.0)
        for n, expiry in enumerate(expiries)
    ]
    table = InstrumentTable(rows)
    names = [table.id_of(f"NSE_FO|{n}") for n in range(4)]
    assert names == ["NSE:NIFTY26N0325900PE", "NSE:NIFTY26N1725900PE", "NSE:NIFTY26NOV25900PE", "NSE:NIFTY26DEC25900PE"]
    assert table.expiries("NSE:NIFTY") == [date.fromisoformat(expiry) for expiry in expiries]


@pytest.mark.parametrize(
    "changes",
    [{"tick_size": Decimal(0)}, {"lot_size": Decimal(0)}, {"strike_price": 0.0}, {"expiry": None}, {"tick_size": Decimal(900000)}],
)
def test_a_row_that_cannot_be_true_is_left_out(changes: dict[str, object]) -> None:
    table = InstrumentTable([row(**changes)])
    assert (len(table), table.skipped) == (0, 1)


def test_what_is_not_listed_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"NSE:NOWHERE.*instrument list"):
        InstrumentTable([]).key("NSE:NOWHERE")


@pytest.mark.parametrize("content", [b"not json", b"\x1f\x8b broken", b'{"a": 1}'])
def test_a_file_that_is_no_list_of_instruments_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidMarketData, match="instruments"):
        read_master(content)


def test_the_vendors_whole_file_of_a_day_is_read_without_two_contracts_of_one_name() -> None:
    content = shared("upstox/instruments_complete.json.gz").read_bytes()
    rows = read_master(content)
    table = InstrumentTable(rows)
    raw = json.loads(gzip.decompress(content))
    wanted = [r for r in raw if r["segment"] in {"NSE_FO", "BSE_FO", "NSE_INDEX"}]
    names = [table.id_of(r["instrument_key"]) for r in wanted]
    assert None not in names
    assert len(set(names)) == len(names)
    assert table.key("NSE:BANKNIFTY") == "NSE_INDEX|Nifty Bank"
    assert table.key("NSE:RELIANCE") == "NSE_EQ|INE002A01018"
    assert table.instrument("NSE:NIFTY26FEBFUT").tick_size == Decimal("0.10")
    assert table.instrument("NSE:NIFTY26FEBFUT").lot_size == 65
    assert table.expiries("NSE:NIFTY")[:3] == [date(2025, 12, 16), date(2025, 12, 23), date(2025, 12, 30)]


def test_a_list_out_of_the_store_is_the_list_that_went_in_and_one_account_may_have_keys_of_its_own() -> None:
    table = InstrumentTable([row()])
    kept = InstrumentTable.of_listings(table.listings(), loaded_on=date(2025, 12, 11))
    (listing,) = kept.listings()
    name = listing.instrument.id
    assert (kept.listings(), kept.expiries("NSE:BANKNIFTY"), kept.loaded_on) == (
        table.listings(),
        table.expiries("NSE:BANKNIFTY"),
        date(2025, 12, 11),
    )
    own = kept.with_keys({name: "NSE_FO|77"})
    assert (own.key(name), own.id_of("NSE_FO|77"), own.id_of(listing.key)) == ("NSE_FO|77", name, name)
    assert (kept.key(name), kept.id_of("NSE_FO|77")) == (listing.key, None)
