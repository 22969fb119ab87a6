"""Options on an index without option history: contracts, premiums and chains."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket, OptionTerms, index_volatility, realised_volatility, weekday_expiries
from runtime.backtest.premiums import premium
from runtime.backtest.result import BacktestResult, BacktestSpec
from runtime.backtest.run import run_backtest
from runtime.compiled import compiled
from runtime.errors import InvalidConfig
from runtime.exits import to_tick
from runtime.fees import order_fees
from runtime.market import ChainRow, Instrument, InstrumentKind, OptionChain, OptionQuote, Right
from runtime.options import bsm_price
from runtime.session import Protection
from runtime.signals import OrderSide
from strategies import create
from tests.runtime.backtest.samples import spec, walk
from tests.runtime.backtest.test_skipping import assert_equal

INDEX = Instrument(id="NSE:BANKNIFTY", kind=InstrumentKind.INDEX)
YEAR = 365 * 86_400.0


def scalper(**more: object) -> BacktestSpec:
    protection = Protection(square_off=time(15, 15))
    return spec("index_options_scalper", instrument=INDEX, quantity=15, protection=protection, fees="indian_options", **more)


def market(candles: CandleArray, **terms: object) -> OptionMarket:
    return OptionMarket(candles, OptionTerms(expiries=weekday_expiries(candles), **terms), np.full(len(candles), 0.2))


@pytest.fixture(scope="module")
def index() -> CandleArray:
    return walk(375 * 12, seed=21)


@pytest.fixture(scope="module")
def traded(index: CandleArray) -> BacktestResult:
    return run_backtest(scalper(), index, create("index_options_scalper"), options=market(index))


@given(
    right=st.sampled_from(Right),
    spot=st.floats(10_000, 60_000),
    moneyness=st.floats(0.9, 1.1),
    days=st.floats(0, 60),
    volatility=st.floats(0.01, 1.5),
    rate=st.floats(0, 0.1),
)
def test_a_compiled_premium_is_the_models(right: Right, spot: float, moneyness: float, days: float, volatility: float, rate: float) -> None:
    expected = bsm_price(right, spot=spot, strike=spot * moneyness, years=days / 365, rate=rate, volatility=volatility)
    sign = 1.0 if right is Right.CALL else -1.0
    for form in (premium, compiled(premium)):
        assert form(sign, spot, spot * moneyness, days * 86_400, rate, volatility) == pytest.approx(expected, rel=1e-9, abs=1e-7)


def test_a_signal_on_the_index_is_traded_in_the_nearest_contract_at_model_premiums(index: CandleArray, traded: BacktestResult) -> None:
    assert len(traded.trades) > 100
    expiries = weekday_expiries(index)
    for trade in list(traded.trades)[:40]:
        opened_at = int(index.opened_at[trade.entry_bar])
        decided_at = float(index.close[trade.entry_bar - 1])
        strike, right = round(decided_at / 100) * 100.0, Right.CALL if trade.side == "LONG" else Right.PUT
        expiry = next(day for day in expiries if day >= datetime.fromtimestamp(opened_at, index.zone).date())
        assert trade.instrument == f"NSE:BANKNIFTY{expiry:%y%b%d}".upper() + f"{strike:g}{right}"
        left = datetime.combine(expiry, time(15, 30), index.zone).timestamp() - opened_at
        model = bsm_price(right, spot=float(index.open[trade.entry_bar]), strike=strike, years=left / YEAR, rate=0.06, volatility=0.2)
        contract = structs.replace(INDEX, tick_size=Decimal("0.05"))
        assert trade.entry_price == float(to_tick(Decimal(repr(model)), contract))


def test_every_trade_pays_the_fees_of_its_date_per_order(index: CandleArray, traded: BacktestResult) -> None:
    for trade in list(traded.trades)[:40]:
        day = datetime.fromtimestamp(int(index.opened_at[trade.entry_bar]), index.zone).date()
        both = [
            order_fees("indian_options", side, Decimal(repr(price)), Decimal(15), on=day, first_fill=True)
            for side, price in ((OrderSide.BUY, trade.entry_price), (OrderSide.SELL, trade.exit_price))
        ]
        assert trade.fees == float(sum(both))
        assert trade.gross == pytest.approx((trade.exit_price - trade.entry_price) * 15)


def test_model_prices_are_called_synthetic_wherever_the_result_is_shown(traded: BacktestResult) -> None:
    assert traded.synthetic
    assert any("SYNTHETIC" in line for line in traded.assumptions)


def test_nothing_is_held_past_the_square_off_time(index: CandleArray, traded: BacktestResult) -> None:
    last = index.minute[traded.trades.exit_bar].max()
    assert last <= 15 * 60 + 15
    assert {trade.exit_reason for trade in traded.trades} >= {"SL", "TP", "REVERSAL"}


def test_skipping_changes_nothing_for_options_either(index: CandleArray, traded: BacktestResult) -> None:
    assert_equal(traded, run_backtest(scalper(), index, create("index_options_scalper"), options=market(index), skip=False))


def test_an_index_without_options_trades_nothing(index: CandleArray) -> None:
    result = run_backtest(scalper(), index, create("index_options_scalper"))
    assert (len(result.trades), result.orders) == (0, 0)


# --- where volatility and expiries come from ---


def test_a_volatility_index_counts_once_its_candle_has_closed() -> None:
    candles, vix = walk(10, seed=1), walk(10, seed=2)
    vix = structs.replace(vix, close=np.arange(10.0) + 10.0, opened_at=vix.opened_at - 60)
    assert index_volatility(candles, vix)[:3].tolist() == [0.10, 0.11, 0.12]
    with pytest.raises(InvalidConfig, match="no value before"):
        index_volatility(candles, structs.replace(vix, opened_at=vix.opened_at + 600))


def test_realised_volatility_is_that_of_the_days_before_and_knows_nothing_of_its_own() -> None:
    candles = walk(375 * 30, seed=5)
    volatility = realised_volatility(candles, 20)
    closes = candles.close[374::375]
    returns = np.diff(np.log(closes))
    day = 25  # the closes of days 4 to 24 give 20 returns
    assert volatility[day * 375] == pytest.approx(np.std(returns[4:24], ddof=1) * np.sqrt(252))
    assert len(set(volatility[day * 375 : (day + 1) * 375].tolist())) == 1
    changed = structs.replace(candles, close=np.where(candles.day >= candles.day[day * 375], candles.close * 2, candles.close))
    assert np.array_equal(realised_volatility(changed, 20)[: (day + 1) * 375], volatility[: (day + 1) * 375])


def test_expiries_by_rule_fall_on_the_trading_day_before_a_holiday() -> None:
    candles = walk(375 * 40, seed=5)  # every day from 2020-01-01, a Wednesday, to 2020-02-09
    holiday = int(datetime(2020, 1, 16, tzinfo=UTC).timestamp()) // 86_400
    keep = candles.day != holiday
    prices = np.stack((candles.open, candles.high, candles.low, candles.close), axis=1)[keep]
    open_days = CandleArray.of(candles.instrument, candles.timeframe, candles.zone, candles.opened_at[keep], prices)
    assert weekday_expiries(open_days)[:4] == (date(2020, 1, 2), date(2020, 1, 9), date(2020, 1, 15), date(2020, 1, 23))
    assert weekday_expiries(open_days)[-1] == date(2020, 2, 13)
    assert weekday_expiries(open_days, monthly=True) == (date(2020, 1, 30), date(2020, 2, 27))


def test_terms_that_do_not_reach_to_the_end_are_refused(index: CandleArray) -> None:
    with pytest.raises(InvalidConfig, match="end before the candles do"):
        OptionMarket(index, OptionTerms(expiries=(date(2020, 1, 2),)), np.full(len(index), 0.2))
    with pytest.raises(InvalidConfig, match="ascending"):
        OptionTerms(expiries=(date(2020, 1, 9), date(2020, 1, 2)))


# --- recorded chains ---


def recorded(index: CandleArray, minute: int, volatility: float = 0.35) -> OptionChain:
    """A chain at the end of the day's `minute`-th candle, priced at a volatility that is not the model's."""
    taken_at = datetime.fromtimestamp(int(index.opened_at[minute]) + 60, index.zone)
    spot, expiry = float(index.close[minute]), weekday_expiries(index)[0]
    maker = market(index)
    left = (datetime.combine(expiry, time(15, 30), index.zone) - taken_at).total_seconds()
    rows: list[ChainRow] = []
    for number in range(-3, 4):
        strike = (round(spot / 100) + number) * 100.0
        call, put = (
            OptionQuote(
                instrument=maker.contract(expiry, strike, right),
                price=bsm_price(right, spot=spot, strike=strike, years=left / YEAR, rate=0.06, volatility=volatility),
                open_interest=interest,
            )
            for right, interest in ((Right.CALL, 1_000.0), (Right.PUT, 1_250.0))
        )
        rows.append(ChainRow(strike=strike, call=call, put=put))
    return OptionChain(underlying=index.instrument, expiry=expiry, taken_at=taken_at, spot=spot, rows=tuple(rows))


def test_a_recorded_chain_is_shown_while_it_is_fresh_and_the_models_after(index: CandleArray) -> None:
    chains = [recorded(index, 30), recorded(index, 35)]
    options = OptionMarket(index, OptionTerms(expiries=weekday_expiries(index)), np.full(len(index), 0.2), chains)
    shown, before = options.chains(36, index.candle(36))
    assert (shown.taken_at, shown.spot, before) == (chains[1].taken_at, float(index.close[36]), chains[0])
    stale, before = options.chains(47, index.candle(47))  # 12 minutes later
    assert (stale.taken_at, len(stale.rows), before) == (index.candle(47).closed_at, 3, None)
    ratios = options.put_call_ratios()
    assert np.isnan(ratios[:30]).all()
    assert set(ratios[30:47].tolist()) == {1.25}
    assert np.isnan(ratios[47:]).all()


def test_a_contract_is_priced_at_the_volatility_that_its_recorded_price_implies(index: CandleArray) -> None:
    chain = recorded(index, 30)
    options = OptionMarket(index, OptionTerms(expiries=weekday_expiries(index)), np.full(len(index), 0.2), [chain])
    call = chain.rows[3].call
    assert call is not None
    columns = options.columns(call.instrument, 31)
    left = datetime.combine(chain.expiry, time(15, 30), index.zone).timestamp() - int(index.opened_at[31])
    at = {"spot": float(index.open[31]), "strike": call.instrument.strike or 0.0, "years": left / YEAR, "rate": 0.06}
    assert columns.open[0] == pytest.approx(bsm_price(Right.CALL, **at, volatility=0.35), abs=0.026)  # half a tick
    assert abs(columns.open[0] - bsm_price(Right.CALL, **at, volatility=0.2)) > 1.0
    before = options.columns(call.instrument, 10)
    assert before.open[0] < columns.open[0]
