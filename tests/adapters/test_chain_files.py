"""Recorded chains against published put-call ratios, and every way in which a recording can be wrong."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.chain_files import ChainFile, ChainProblem, next_thursday
from configs.calendar import load_calendar
from runtime.chains import atm_strike, pcr
from runtime.errors import InvalidMarketData
from runtime.market import IST, OptionChain
from tests.shared_data import shared

HEADER = "StrikePrice,CurrentVal,CallOI,CallVolume,CallIV,CallLTP,CallBidPrice,CallAskPrice,PutOI,PutVolume,PutIV,PutLTP,PutBidPrice,PutAskPrice\n"
NAME = "chain_BANKNIFTY_2019-06-19_1130.csv"
COLUMNS = HEADER.strip().split(",")


def strike(price: int, cells: str = "10,5,15.5,100,99,101,20,6,16.5,90,89,91", spot: str = "30010") -> str:
    return f"{price},{spot},{cells}\n"


def write(folder: Path, text: str, name: str = NAME) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def recording(folder: Path, snapshots: dict[str, list[float]]) -> Path:
    """A parquet of snapshots on 2019-06-19: clock to put open interest per strike."""
    rows = [
        {
            "ts_ist": datetime.fromisoformat(f"2019-06-19T{clock}"),
            **dict.fromkeys(COLUMNS, 1.0),
            "StrikePrice": 30_000.0 + 100 * n,
            "CurrentVal": 30_010.0,
            "PutOI": oi,
        }
        for clock, interest in snapshots.items()
        for n, oi in enumerate(interest)
    ]
    path = folder / "chains.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize(("symbol", "snapshots", "compared"), [("BANKNIFTY", 3_414, 2_400), ("NIFTY", 3_421, 2_351)])
def test_published_put_call_ratios_are_reproduced(symbol: str, snapshots: int, compared: int) -> None:
    file = ChainFile(shared(f"nse_options/{symbol}_chain_snapshots_2018-10_2019-07.parquet"), f"NSE:{symbol}", frozen_after=None)
    ours = {chain.taken_at: (pcr(chain), chain.spot) for chain in file}
    with shared(f"golden/pcr_support_resistance_{symbol}_2018-10_2019-07.csv").open() as table:
        theirs = {
            datetime.fromisoformat(row["ts_ist"]).replace(tzinfo=IST): (float(row["pcr"]), float(row["curprice"]))
            for row in csv.DictReader(table)
        }
    differing = [at for at, (ratio, _) in theirs.items() if ours[at][0] != pytest.approx(ratio, rel=1e-9)]

    assert (file.report.used, len(theirs)) == (snapshots, compared)
    # That morning the page was frozen; the published table was computed from something else (SOURCES.md).
    assert {at.date() for at in differing} == {date(2019, 6, 19)}
    assert len(differing) == 4
    assert [at for at, (_, spot) in theirs.items() if spot != ours[at][1] and at not in differing] == []


def test_frozen_snapshots_and_those_outside_the_session_are_left_out() -> None:
    path = shared("nse_options/BANKNIFTY_chain_snapshots_2018-10_2019-07.parquet")
    file = ChainFile(path, "NSE:BANKNIFTY", calendar=load_calendar())
    used = [chain.taken_at for chain in file if chain.taken_at.date() == date(2019, 6, 19)]

    # That page did not change from 09:07 to 10:15.
    assert [f"{at:%H:%M}" for at in used] == ["09:15", "09:16", "10:17", "10:30", "10:45", "10:51"]
    assert file.report.counts[ChainProblem.FROZEN] == 310
    assert file.report.counts[ChainProblem.OFF_SESSION] == 413  # four of them the first of a holiday's, taken while nobody traded
    assert file.report.used == 3_414 - 310 - 413
    assert file.report.examples[ChainProblem.FROZEN][0] == "2018-10-14 22:41 equals 22:03"


@pytest.mark.parametrize("clock", ["0930", "1003"])
def test_the_two_disputed_snapshots_are_the_same_frozen_page(clock: str) -> None:
    file = ChainFile(shared(f"bad_samples/chain_BANKNIFTY_2019-06-19_{clock}_differs_from_published_pcr.csv"), "NSE:BANKNIFTY")
    (chain,) = file

    assert pcr(chain) == pytest.approx(0.5659703020669736, rel=1e-12)
    assert (chain.spot, len(chain.rows), chain.expiry) == (30_362.1, 64, date(2019, 6, 20))
    assert chain.taken_at == datetime(2019, 6, 19, int(clock[:2]), int(clock[2:]), tzinfo=IST)


def test_the_page_saved_as_messy_csv_is_read_cell_by_cell() -> None:
    file = ChainFile(shared("bad_samples/nse_html_chain_messy_2019-05-23_14_30.csv"), "NSE:NIFTY")
    (chain,) = file

    assert (len(chain.rows), chain.rows[0].strike, chain.rows[-1].strike) == (75, 9_650, 13_350)
    last = chain.rows[-1]
    assert last.call is not None
    assert (last.call.open_interest, last.call.volume, last.call.price, last.call.bid, last.call.ask) == (132_825, 4_801, 0.05, 0.05, 0.15)
    # The page's own line of totals: call open interest 25,521,000, put 10,657,875.
    assert sum(row.call.open_interest or 0 for row in chain.rows if row.call) == 25_521_000
    assert sum(row.put.open_interest or 0 for row in chain.rows if row.put) == 10_657_875
    assert file.report.examples[ChainProblem.SPOT_INFERRED] == ["2019-05-23 14:30 11800.45"]
    assert atm_strike(chain) == 11_800


def test_a_recording_of_open_interest_alone_knows_its_expiry() -> None:
    file = ChainFile(shared("nse_options/chain_OI_3min_2022-11-22_24.parquet"), "NSE:BANKNIFTY")
    chains = list(file)

    assert len(chains) == 332
    assert {chain.expiry for chain in chains} == {date(2022, 11, 24)}
    assert ChainProblem.EXPIRY_ASSUMED not in file.report.counts
    assert chains[0].rows[0].call is not None
    assert chains[0].rows[0].call.instrument.id == "NSE:BANKNIFTY22NOV41200CE"


def test_values_of_a_strike_arrive_where_they_belong(tmp_path: Path) -> None:
    (chain,) = ChainFile(write(tmp_path, HEADER + strike(30_100, "-,-,-,-,-,-,20,6,16.5,90,89,91") + strike(30_000)), "NSE:BANKNIFTY")

    assert [row.strike for row in chain.rows] == [30_000, 30_100]
    call, put = chain.rows[0].call, chain.rows[0].put
    assert call is not None
    assert put is not None
    assert (call.open_interest, call.volume, call.iv, call.price, call.bid, call.ask) == (10, 5, 0.155, 100, 99, 101)
    assert (put.open_interest, put.volume, put.iv, put.price, put.bid, put.ask) == (20, 6, 0.165, 90, 89, 91)
    assert (put.instrument.id, put.instrument.expiry) == ("NSE:BANKNIFTY1962030000PE", date(2019, 6, 20))
    empty = chain.rows[1].call
    assert empty is not None
    assert (empty.price, empty.open_interest) == (None, None)


@pytest.mark.parametrize(
    ("rows", "problem", "where"),
    [
        (strike(30_000) + strike(30_100) + strike(30_000), ChainProblem.TORN, "2019-06-19 11:30 strikes [30000.0]"),
        ("", ChainProblem.EMPTY, "2019-06-19 11:30"),
        (strike(30_000, "-,-,-,-,-,-,-,-,-,-,-,-", spot="-"), ChainProblem.NO_SPOT, "2019-06-19 11:30"),
    ],
)
def test_a_snapshot_that_cannot_be_true_is_refused(tmp_path: Path, rows: str, problem: ChainProblem, where: str) -> None:
    file = ChainFile(write(tmp_path, HEADER + rows), "NSE:BANKNIFTY")

    assert list(file) == []
    assert (file.report.snapshots, file.report.used) == (1, 0)
    assert file.report.examples[problem] == [where]
    assert file.report.lines()[0] == f"{NAME}: 0 of 1 snapshots used"


def test_a_quote_that_cannot_be_true_loses_its_numbers_only(tmp_path: Path) -> None:
    crossed = strike(30_000, "10,5,15.5,100,102,101,20,6,16.5,90,89,91")
    broken = strike(30_100, "nan,5,abc,-3,99,inf,20,6,16.5,90,89,91")
    file = ChainFile(write(tmp_path, HEADER + crossed + broken), "NSE:BANKNIFTY")
    (chain,) = file
    first, second = chain.rows[0].call, chain.rows[1].call
    assert first is not None
    assert second is not None

    assert (first.price, first.bid, first.ask) == (100, None, None)
    assert (second.open_interest, second.iv, second.price, second.bid, second.ask) == (None, None, None, 99, None)
    assert file.report.examples[ChainProblem.CROSSED] == ["2019-06-19 11:30 30000 CE 102.0/101.0"]
    assert file.report.examples[ChainProblem.NOT_A_NUMBER] == [
        "strike 30100 column CallOI is 'nan'",
        "strike 30100 column CallIV is 'abc'",
        "strike 30100 column CallLTP is '-3'",
        "strike 30100 column CallAskPrice is 'inf'",
    ]


def test_a_chain_is_frozen_once_nothing_has_moved_for_too_long(tmp_path: Path) -> None:
    path = recording(tmp_path, {"10:00": [5, 6], "10:05": [5, 6], "10:10": [5, 6], "10:11": [5, 6], "10:15": [5, 7], "10:20": [5, 7]})
    file = ChainFile(path, "NSE:BANKNIFTY", frozen_after=timedelta(minutes=10))

    assert [f"{chain.taken_at:%H:%M}" for chain in file] == ["10:00", "10:05", "10:10", "10:15", "10:20"]
    assert file.report.examples[ChainProblem.FROZEN] == ["2019-06-19 10:11 equals 10:00"]


def test_a_file_can_be_iterated_again_with_a_fresh_report(tmp_path: Path) -> None:
    file = ChainFile(recording(tmp_path, {"10:00": [5, 6]}), "NSE:BANKNIFTY")
    first: list[OptionChain] = list(file)
    assert list(file) == first
    assert file.report.snapshots == 1


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (NAME, "a,b\n1,2\n", "no line names a column StrikePrice"),
        (NAME, "StrikePrice,Something\n1,2\n", "not a known form"),
        ("chain.csv", HEADER + strike(30_000), "pass taken_at"),
        ("chains.parquet", "not parquet", "cannot be read"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    with pytest.raises(InvalidMarketData, match=complaint):
        list(ChainFile(write(tmp_path, text, name), "NSE:BANKNIFTY"))


def test_the_assumed_weekly_expiry_is_the_thursday_on_or_after() -> None:
    assert [next_thursday(date(2019, 6, day)).day for day in (14, 19, 20, 21)] == [20, 20, 20, 27]
