"""A broker's real lists in both of its formats, against each other and against the exchange's own file."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from actors.instruments import read_listings
from adapters.instruments.bhavcopy import ExchangeRow, cross_check, read_bhavcopy
from adapters.instruments.upstox_csv import read_csv
from adapters.upstox.instruments import InstrumentTable
from configs.calendar import load_calendar
from runtime.errors import InvalidMarketData
from runtime.market import InstrumentKind, Right
from tests.shared_data import shared

HEADER = "instrument_key,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,option_type,exchange"
OPTION = "NSE_FO|50917,50917,MIDCPNIFTY26OCT15225PE,MIDCPNIFTY,921.0,2026-10-27,15225.0,0.05,120.0,OPTIDX,PE,NSE_FO"
WEEKLY = "NSE_FO|1,1,NIFTY2680424700CE,NIFTY,12.0,2026-08-04,24700.0,0.05,65.0,OPTIDX,CE,NSE_FO"
MONTHLY = "NSE_FO|2,2,NIFTY26AUGFUT,NIFTY,24700.0,2026-08-25,0.0,0.1,65.0,FUTIDX,FF,NSE_FO"
INDEX = "NSE_INDEX|Nifty 50,26000,NIFTY,Nifty 50,24700.0,,,,,INDEX,INDEX,NSE_INDEX"
BHAVCOPY = "nse_options/NSE_FO_bhavcopy_BANKNIFTY_NIFTY_2025-01_2026-02.parquet"


def csv(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


def test_a_line_of_the_csv_becomes_a_contract_with_its_lot_and_a_tick_in_rupees() -> None:
    table = InstrumentTable(read_csv(gzip.compress(csv(OPTION, WEEKLY, MONTHLY, INDEX))))

    option = table.instrument("NSE:MIDCPNIFTY26OCT15225PE")
    assert (option.kind, option.right, option.strike, option.expiry) == (InstrumentKind.OPTION, Right.PUT, 15225.0, date(2026, 10, 27))
    assert (option.lot_size, option.tick_size, option.underlying) == (Decimal(120), Decimal("0.05"), "NSE:MIDCPNIFTY")
    assert table.key("NSE:NIFTY2680424700CE") == "NSE_FO|1"
    future = table.instrument("NSE:NIFTY26AUGFUT")
    assert (future.kind, future.tick_size) == (InstrumentKind.FUTURE, Decimal("0.1"))
    assert table.instrument("NSE:NIFTY").kind is InstrumentKind.INDEX


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (csv(OPTION, WEEKLY[:40]), r"line 3.*cut short: the file is torn"),
        (gzip.compress(csv(OPTION) * 50)[:-20], "torn or no CSV"),
        (b"symbol,price\nA,1\n", "lacks columns"),
        (csv(OPTION.replace("120.0", "many")), r"line 2.*cannot be read"),
        (csv(OPTION.replace("2026-10-27", "27-10-2026")), r"line 2.*cannot be read"),
    ],
)
def test_a_torn_or_foreign_file_is_refused_with_the_place(content: bytes, complaint: str) -> None:
    with pytest.raises(InvalidMarketData, match=complaint):
        read_csv(content)


def test_a_file_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidMarketData, match=r"list\.xml.*must be named"):
        read_listings(tmp_path / "list.xml")
    with pytest.raises(InvalidMarketData, match=r"cannot be read: No such file"):
        read_listings(tmp_path / "list.json")


def test_the_real_csv_names_every_contract_as_the_exchange_does() -> None:
    path = shared("upstox/instruments_NSE.csv.gz")
    rows = [row for row in read_csv(path.read_bytes()) if row.segment == "NSE_FO"]
    listed = {listing.key: listing.instrument for listing in read_listings(path)}

    assert len(rows) == 30_922
    assert [row.trading_symbol for row in rows if listed[row.instrument_key].id != f"NSE:{row.trading_symbol}"] == []
    lots = {listed[row.instrument_key].lot_size for row in rows if row.underlying_symbol == "BANKNIFTY"}
    assert lots == {Decimal(30)}


def exchange_rows(day: str) -> list[ExchangeRow]:
    columns = ["TradDt", "FinInstrmNm", "XpryDt", "StrkPric", "NewBrdLotQty"]
    return [
        ExchangeRow(
            id=f"NSE:{row['FinInstrmNm']}",
            traded_on=date.fromisoformat(row["TradDt"]),
            expiry=date.fromisoformat(row["XpryDt"]),
            strike=row["StrkPric"],
            lot_size=Decimal(int(row["NewBrdLotQty"])),
        )
        for row in read_table(shared(BHAVCOPY), columns=columns, filters=[("TradDt", "==", day)]).to_pylist()
    ]


def test_the_brokers_list_of_december_agrees_with_the_exchange_but_for_what_was_revised_after_it() -> None:
    """Names, expiries, strikes and lots. At the turn of the year NSE cut the lots, and 31 March became a holiday: expiry a day earlier."""
    listed = [listing.instrument for listing in read_listings(shared("upstox/instruments_complete.json.gz"))]
    stated = exchange_rows("2026-01-05")

    assert len({row.id for row in stated} & {instrument.id for instrument in listed}) == 1417
    assert Counter((change.field, change.before, change.after) for change in cross_check(listed, stated)) == {
        ("lot_size", Decimal(75), Decimal(65)): 183,
        ("lot_size", Decimal(35), Decimal(30)): 78,
        ("expiry", date(2026, 3, 31), date(2026, 3, 30)): 56,
    }
    assert load_calendar("nse").bounds(date(2026, 3, 31)) is None


def test_the_exchanges_file_is_read_and_a_foreign_one_refused(tmp_path: Path) -> None:
    rows = read_bhavcopy(shared("nse_options/raw_bhavcopy_BANKNIFTY_2026-02-24.csv"))
    assert len(rows) > 500
    assert {row.lot_size for row in rows} == {Decimal(30)}
    assert rows[0].id == "NSE:BANKNIFTY26MAR55100PE"
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidMarketData, match=r"other\.csv.*lacks columns"):
        read_bhavcopy(other)
