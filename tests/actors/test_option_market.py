"""The options of an index in a backtest: what is asked, what is usual, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.backtest import backtest
from actors.backtest_setup import BacktestRequest, describe_instrument
from actors.option_market import option_data, option_market
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket, realised_volatility
from runtime.errors import InvalidInput
from runtime.market import IST, InstrumentKind, OptionChain, Timeframe
from tests.actors.test_backtest import waves
from tests.adapters.backtest_report.results import candles

WALK = candles(375 * 12)
INDEX = CandleArray.of("NSE:BANKNIFTY", Timeframe.M1, IST, WALK.opened_at, np.column_stack([WALK.open, WALK.high, WALK.low, WALK.close]))


CHAIN = """StrikePrice,CurrentVal,CallOI,CallVolume,CallIV,CallLTP,CallBidPrice,CallAskPrice,PutOI,PutVolume,PutIV,PutLTP,PutBidPrice,PutAskPrice
48000,48000,10,5,60,1200,1199,1201,20,6,60,1150,1149,1151
"""


def market(**asked: Any) -> OptionMarket:
    request = BacktestRequest(strategy="index_options_scalper", **asked)
    data = option_data(request, INDEX.instrument, INDEX)
    found = option_market(request, describe_instrument(request, "NSE:BANKNIFTY"), INDEX, data)
    assert found is not None
    return found


def test_what_is_traded_itself_has_no_options() -> None:
    request = BacktestRequest(strategy="ema_cross")
    assert option_data(request, "NSE:BANKNIFTY", INDEX) is None
    with pytest.raises(InvalidInput, match=r"--chains.*does not trade options"):
        option_data(BacktestRequest(strategy="ema_cross", chains="chains.parquet"), "NSE:BANKNIFTY", INDEX)


def test_terms_are_the_usual_ones_of_the_index_unless_told() -> None:
    assert (market().terms.strike_step, market().terms.lot_size) == (100.0, Decimal(15))
    assert market(lot_size=Decimal(30)).terms.lot_size == 30
    assert market().terms.expiries[:2] == (date(2024, 1, 4), date(2024, 1, 11))  # Thursdays
    assert market(expiry_weekday=2).terms.expiries[0] == date(2024, 1, 3)
    assert market(expiry="monthly").terms.expiries[0] == date(2024, 1, 25)


def test_volatility_is_realised_fixed_or_that_of_an_index(tmp_path: Path) -> None:
    file = tmp_path / "INDIAVIX.csv"
    rows = "".join(f"20231229,09:{15 + minute},14,14,14,14\n" for minute in range(2))
    file.write_text("Date,Time,Open,High,Low,Close\n" + rows, encoding="utf-8")

    np.testing.assert_array_equal(market()._volatility, realised_volatility(INDEX))
    assert set(market(volatility="0.25")._volatility.tolist()) == {0.25}
    assert set(market(volatility=str(file))._volatility.tolist()) == {0.14}


def test_a_volatility_index_may_begin_with_the_candles(tmp_path: Path) -> None:
    file = tmp_path / "INDIAVIX.csv"
    file.write_text("Date,Time,Open,High,Low,Close\n20240101,09:15,15,17,15,17\n20240101,09:16,17,17,17,17\n", encoding="utf-8")

    assert market(volatility=str(file))._volatility[:3].tolist() == [0.15, 0.17, 0.17]  # its open, then the close before each candle


def test_recorded_chains_are_read_with_what_is_wrong_with_them_and_priced_by(tmp_path: Path) -> None:
    file = tmp_path / "2024-01-01_1000.csv"
    file.write_text(CHAIN, encoding="utf-8")
    request = BacktestRequest(strategy="index_options_scalper", chains=str(file), volatility="0.2")
    data = option_data(request, INDEX.instrument, INDEX)
    assert data is not None
    (chain,) = data.chains
    assert (chain.expiry, chain.taken_at.astimezone(IST).isoformat()) == (date(2024, 1, 4), "2024-01-01T10:00:00+05:30")
    found = option_market(request, describe_instrument(request, "NSE:BANKNIFTY"), INDEX, data)
    assert found is not None
    call = chain.rows[0].call
    assert call is not None
    at_ten, minutes = found.columns(call.instrument, 45), found.columns(call.instrument, 10)
    assert at_ten.open[0] != pytest.approx(minutes.open[0], rel=0.2)  # not the model's 20 % any more
    assert found.notes()[0].startswith("Option premiums follow 1 recorded chains (2024-01-01 10:00")
    assert any("expiry assumed" in line for line in data.quality)


@pytest.mark.parametrize(("chains", "complaint"), [("absent.csv", "is not a file"), ("store", "no store is at hand")])
def test_chains_that_are_not_there_are_refused(chains: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=f"--chains.*{complaint}"):
        option_data(BacktestRequest(strategy="index_options_scalper", chains=chains), INDEX.instrument, INDEX)


def test_chains_of_the_store_are_asked_for_while_the_candles_last() -> None:
    asked: list[Any] = []

    def stored(underlying: str, start: datetime, end: datetime) -> list[OptionChain]:
        asked.append((underlying, start.astimezone(IST), end.astimezone(IST)))
        return []

    with pytest.raises(InvalidInput, match="holds no option chain of NSE:BANKNIFTY between"):
        option_data(BacktestRequest(strategy="index_options_scalper", chains="store"), INDEX.instrument, INDEX, stored)
    first, last = (datetime.fromtimestamp(int(INDEX.opened_at[at]), IST) for at in (0, -1))
    assert asked == [("NSE:BANKNIFTY", first, last + timedelta(minutes=1))]


@pytest.mark.parametrize("text", ["absent.csv", "0", "-1", "nan", "20", "high"])
def test_a_volatility_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--volatility"):
        market(volatility=text)


def test_an_index_is_backtested_through_options_and_says_that_their_prices_are_made(tmp_path: Path) -> None:
    run = backtest("index_options_scalper", waves(tmp_path), zone="Asia/Kolkata", capital=Decimal(1_000_000))

    assert run.result.spec.instrument.kind is InstrumentKind.INDEX
    assert run.result.synthetic
    assert run.metrics["trades"] > 10
    assert all(name.startswith("NSE:BANKNIFTY") and name[-2:] in {"CE", "PE"} for name in run.trades["instrument"])
    assert (run.trades["quantity"] % 15 == 0).all()
    run.write_report(tmp_path / "report.html")
    assert any(line.startswith("SYNTHETIC") for line in run.result.assumptions)
