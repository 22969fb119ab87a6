from __future__ import annotations

from datetime import date, time

import msgspec
import numpy as np
import pytest

from adapters.simulated import SimulatedInstrumentMaster, SimulatedOptionChainSource, SimulationConfig
from adapters.simulated.config import ChainError, FrozenChain, Halt, OpeningGap, TornChain
from runtime.chains import atm_strike, pcr
from runtime.errors import BrokerUnavailable, InvalidConfig, InvalidInput, InvalidMarketData
from runtime.market import OptionChain, Right
from runtime.options import bsm_price
from runtime.strategy import MarketContext
from strategies.index_options_scalper import IndexOptionsScalper
from tests.adapters.simulated.builders import CALL, DAY, FUTURE, INDEX, PUT, at, market
from tests.adapters.simulated.recorded import recorded_day

EXPIRY = date(2026, 11, 24)


def rows(chain: OptionChain) -> list[float]:
    return [row.strike for row in chain.rows]


# --- prices ---------------------------------------------------------------------------------------------------------


def test_a_month_of_generated_days_has_about_the_volatility_that_was_asked_for() -> None:
    venue = market(sessions=(date(2026, 10, 1), DAY), annual_volatility=0.2)
    closes: list[float] = []
    day = date(2026, 10, 1)
    while day <= DAY:
        closes += [candle.close for candle in venue.candles(INDEX, day)]
        day = venue.next_day(day)
    returns = np.diff(np.log(closes))
    assert len(closes) == 37 * 375
    assert float(returns.std() * np.sqrt(375 * 252)) == pytest.approx(0.2, rel=0.2)


def test_open_and_close_move_and_trade_more_than_midday() -> None:
    ranges, volumes = np.zeros(375), np.zeros(375)
    for seed in range(12):
        candles = market(seed=seed).candles(FUTURE, DAY)
        ranges += [candle.high - candle.low for candle in candles]
        volumes += [candle.volume or 0.0 for candle in candles]
    for values in (ranges, volumes):
        assert values[:30].mean() > 1.5 * values[150:210].mean()
        assert values[-20:].mean() > 1.1 * values[150:210].mean()


def test_volume_breakouts_happen_now_and_then() -> None:
    for seed in range(5):
        volumes = np.array([candle.volume or 0.0 for candle in market(seed=seed).candles(FUTURE, DAY)])
        mean_before = np.convolve(volumes, np.ones(20) / 20, mode="valid")[:-1]
        assert 10 < int((volumes[20:] > 1.5 * mean_before).sum()) < 120


def test_every_price_is_on_the_tick_and_inside_its_bid_and_ask() -> None:
    for instrument in (INDEX, FUTURE, CALL, PUT, "NSE:BANKNIFTY26NOV62000CE", "NSE:BANKNIFTY27JAN52000PE"):
        ticks = market().ticks(instrument, DAY)
        assert (ticks.price >= 0.05).all()
        assert np.abs(ticks.price * 20 - np.round(ticks.price * 20)).max() < 1e-6
        if ticks.bid is not None and ticks.ask is not None:
            assert ((ticks.bid <= ticks.price) & (ticks.price < ticks.ask)).all()
            assert (ticks.bid >= 0.05).all()


def test_an_option_costs_what_black_scholes_merton_says_at_the_volatility_of_the_chain() -> None:
    venue = market()
    chain = venue.chain(EXPIRY, at("12:00"))
    seconds = (at("15:30", EXPIRY) - at("11:59:59.500")).total_seconds()  # the last step that has started
    for row in chain.rows:
        for right, quote in ((Right.CALL, row.call), (Right.PUT, row.put)):
            assert quote is not None
            assert quote.iv is not None
            model = bsm_price(right, spot=chain.spot, strike=row.strike, years=seconds / (365 * 86400), rate=0.065, volatility=quote.iv)
            assert quote.price == pytest.approx(max(model, 0.05), abs=0.0251)


async def test_the_chain_shows_the_price_that_the_tick_had() -> None:
    venue = market(ticks_per_second=1)
    ticks = venue.ticks(CALL, DAY)
    quote = next(row.call for row in venue.chain(EXPIRY, at("12:00")).rows if row.strike == 52000)
    before_noon = int(np.searchsorted(ticks.steps, (2 * 60 + 45) * 60)) - 1
    assert quote is not None
    assert ticks.volume is not None
    assert quote.price == float(ticks.price[before_noon])
    assert quote.volume == float(ticks.volume[: before_noon + 1].sum())


def test_the_future_keeps_to_its_fair_value_and_the_basis_decays() -> None:
    venue = market()
    basis = [candle.close - spot.close for candle, spot in zip(venue.candles(FUTURE, DAY), venue.candles(INDEX, DAY), strict=True)]
    assert all(-30 < each < 100 for each in basis)  # 52,000 × 6.5 % × 4 days / 365 = 37
    far = venue.ticks("NSE:BANKNIFTY27JANFUT", DAY).price[0] - venue.ticks(FUTURE, DAY).price[0]
    assert far == pytest.approx(52000 * 0.065 * 63 / 365, rel=0.05)


def test_the_put_call_ratio_rises_with_the_market() -> None:
    venue = market()
    chains = [venue.chain(EXPIRY, at(clock)) for clock in ("10:00", "11:00", "12:00", "13:00", "14:00", "15:00")]
    spots, ratios = [chain.spot for chain in chains], [pcr(chain) or 0.0 for chain in chains]
    assert all(0.5 < ratio < 2.0 for ratio in ratios)
    assert float(np.corrcoef(spots, ratios)[0, 1]) > 0.95


def test_the_chain_reaches_thirty_strikes_on_each_side_and_wherever_the_day_goes() -> None:
    venue = market(seed=3, annual_volatility=1.2)
    spot = venue.day(DAY).spot
    listed = rows(venue.chain(EXPIRY, at("10:00")))
    assert {49000.0, 52000.0, 55000.0} <= set(listed)
    for price in (float(spot.min()), float(spot.max())):
        assert sum(strike < price for strike in listed) >= 5
        assert sum(strike > price for strike in listed) >= 5
    assert rows(venue.chain(EXPIRY, at("15:00"))) == listed


def test_outside_the_session_the_chain_stands_as_at_the_last_close() -> None:
    venue = market()
    evening, next_morning = venue.chain(EXPIRY, at("18:00")), venue.chain(EXPIRY, at("09:00", date(2026, 11, 23)))
    close = venue.candles(INDEX, DAY)[-1].close
    assert evening.spot == next_morning.spot == close
    assert venue.chain(EXPIRY, at("09:15")).spot == 52000.0


def test_an_opening_gap_opens_that_far_from_the_close_before() -> None:
    day_before = date(2026, 11, 19)
    plain, gapped = (
        market(sessions=(day_before, DAY), special=special).candles(INDEX, DAY)[0].open
        for special in [(), (OpeningGap(percent=-2.0, on=DAY),)]
    )
    assert gapped == pytest.approx(plain * 0.98, abs=0.05)


def test_a_session_after_a_recorded_day_goes_on_from_its_prices() -> None:
    recorded = recorded_day(date(2024, 1, 17))
    venue = market(sessions=(date(2024, 1, 17), date(2024, 1, 18)), candles={date(2024, 1, 17): recorded})
    assert venue.candles(INDEX, date(2024, 1, 18))[0].open == pytest.approx(recorded[-1].close, rel=0.03)
    assert venue.candles(INDEX, date(2024, 1, 16))[-1].close == pytest.approx(recorded[0].open, rel=0.03)
    chain = venue.chain(date(2024, 1, 25), at("10:00", date(2024, 1, 17)))
    assert (chain.spot, atm_strike(chain)) == (recorded[44].close, 47000.0)


def test_what_is_asked_first_changes_nothing() -> None:
    one, other = market(), market()
    one.candles(INDEX, date(2026, 11, 10))
    one.chain(EXPIRY, at("15:00"))
    assert one.candles(CALL, DAY) == other.candles(CALL, DAY)
    assert other.candles(INDEX, date(2026, 11, 10)) == one.candles(INDEX, date(2026, 11, 10))


def test_every_rule_of_the_scalper_fires_within_a_few_days() -> None:
    venue, strategy = market(sessions=(date(2026, 11, 16), DAY)), IndexOptionsScalper()
    fired: set[str] = set()
    for day in (date(2026, 11, 16), date(2026, 11, 17), date(2026, 11, 18)):
        opens, closes = venue.day(day).grid.opened_at, venue.day(day).grid.closed_at
        chain = venue.chain(EXPIRY, opens)
        volumes = [candle.volume for candle in venue.candles(FUTURE, day)]
        for candle, volume in zip(venue.candles(INDEX, day), volumes, strict=True):
            target = strategy.on_candle(candle, MarketContext(session_open=opens, session_close=closes, volume=volume, chain=chain))
            fired |= {target.rule} if target else set()
    assert fired == {"orb", "inside_bar", "reversal", "momentum"}


# --- instruments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expiries"),
    [
        (date(2026, 11, 20), [date(2026, 11, 24), date(2026, 12, 29), date(2027, 1, 26)]),
        (date(2026, 11, 24), [date(2026, 12, 29), date(2027, 1, 26), date(2027, 2, 23)]),
        (date(2025, 7, 15), [date(2025, 7, 31), date(2025, 8, 28), date(2025, 9, 30)]),
        (date(2024, 1, 17), [date(2024, 1, 25), date(2024, 2, 29), date(2024, 3, 27)]),
    ],
)
def test_expiries_are_the_last_such_weekdays_of_the_months_ahead(day: date, expiries: list[date]) -> None:
    assert market().contracts.expiries(day) == expiries


def test_an_expiry_on_a_holiday_is_the_trading_day_before() -> None:
    """31 March 2026, a Tuesday, was a holiday: the bhavcopy lists 30 March."""
    assert market(special_sessions={date(2026, 3, 31): ()}).contracts.near_month(date(2026, 3, 2)) == date(2026, 3, 30)


@pytest.mark.parametrize(
    ("instrument", "lot_size", "freeze_quantity"),
    [
        ("NSE:BANKNIFTY24JAN46500PE", 15, 900),
        ("NSE:BANKNIFTY25JANFUT", 15, 900),
        ("NSE:BANKNIFTY25FEB50000CE", 30, 600),
        ("NSE:BANKNIFTY25DECFUT", 35, 595),
        ("NSE:BANKNIFTY26NOV52000CE", 30, 600),
    ],
)
async def test_lot_size_and_freeze_quantity_come_from_the_contracts_expiry(instrument: str, lot_size: int, freeze_quantity: int) -> None:
    contract = await SimulatedInstrumentMaster(market()).instrument(instrument)
    assert (contract.id, contract.lot_size, contract.freeze_quantity) == (instrument, lot_size, freeze_quantity)


async def test_the_near_month_future_is_the_sessions_or_the_clocks() -> None:
    venue = market()
    first, later = SimulatedInstrumentMaster(venue), SimulatedInstrumentMaster(venue, now=lambda: at("09:15", EXPIRY))
    assert [future.id for master in (first, later) if (future := await master.near_month_future(INDEX))] == [
        FUTURE,
        "NSE:BANKNIFTY26DECFUT",
    ]
    with pytest.raises(InvalidInput, match="NSE:NIFTY"):
        await first.near_month_future("NSE:NIFTY")


async def test_every_option_of_the_chain_is_in_the_master() -> None:
    venue = market()
    master = SimulatedInstrumentMaster(venue)
    for row in venue.chain(EXPIRY, at("10:00")).rows:
        for quote in (row.call, row.put):
            assert quote is not None
            assert await master.instrument(quote.instrument.id) == quote.instrument


def test_an_expired_contract_has_no_ticks() -> None:
    assert len(market().ticks("NSE:BANKNIFTY26OCT52000CE", DAY).steps) == 0
    assert market().candles("NSE:BANKNIFTY26OCT52000CE", DAY) == []


# --- the chain as a service -----------------------------------------------------------------------------------------


async def test_the_chain_follows_the_venues_clock() -> None:
    venue, clock = market(), [at("10:00")]
    source = SimulatedOptionChainSource(venue, lambda: clock[0])
    assert await source.expiries(INDEX) == [date(2026, 11, 24), date(2026, 12, 29), date(2027, 1, 26)]
    first = await source.chain(INDEX, EXPIRY)
    clock[0] = at("10:05")
    second = await source.chain(INDEX, EXPIRY)
    assert (first.taken_at, second.taken_at) == (at("10:00"), at("10:05"))
    assert first.spot != second.spot
    with pytest.raises(InvalidInput, match="underlying"):
        await source.chain("NSE:NIFTY", EXPIRY)
    with pytest.raises(InvalidInput, match="2026-12-29"):
        await source.chain(INDEX, date(2026, 11, 26))
    await source.close()


async def test_the_chain_fails_as_asked() -> None:
    faults = (
        ChainError(start=time(10, 0), minutes=5),
        TornChain(start=time(11, 0), minutes=5),
        FrozenChain(start=time(12, 0), minutes=30),
    )
    clock = [at("10:04")]
    source = SimulatedOptionChainSource(market(special=faults), lambda: clock[0])
    with pytest.raises(BrokerUnavailable):
        await source.chain(INDEX, EXPIRY)
    clock[0] = at("10:05")
    await source.chain(INDEX, EXPIRY)
    clock[0] = at("11:00")
    with pytest.raises(InvalidMarketData, match="torn"):
        await source.chain(INDEX, EXPIRY)
    clock[0] = at("12:29")
    assert (await source.chain(INDEX, EXPIRY)).taken_at == at("12:00")
    clock[0] = at("12:30")
    assert (await source.chain(INDEX, EXPIRY)).taken_at == at("12:30")


# --- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "config"),
    [
        ("sessions", {"sessions": ()}),
        ("sessions", {"sessions": (DAY, DAY)}),
        ("sessions", {"sessions": (date(2026, 11, 21),)}),
        ("start_price", {"start_price": float("nan")}),
        ("annual_volatility", {"annual_volatility": 0.0}),
        ("ticks_per_second", {"ticks_per_second": 0}),
        ("option_ticks_per_second", {"ticks_per_second": 3, "option_ticks_per_second": 2}),
        ("seconds_per_tick", {"ticks_per_second": 1, "seconds_per_tick": 7}),
        ("seconds_per_tick", {"ticks_per_second": 2, "seconds_per_tick": 5}),
        ("special.minutes", {"special": (TornChain(start=time(10), minutes=1), Halt(start=time(11), minutes=0))}),
    ],
)
def test_a_wrong_configuration_is_refused_by_field(field: str, config: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=f"^{field}"):
        market(**config)


def test_a_configuration_is_data_that_a_profile_can_write_down() -> None:
    special = (OpeningGap(percent=-2.0, on=DAY), Halt(start=time(11), minutes=5), TornChain(start=time(10), minutes=1))
    config = SimulationConfig(special=special, special_sessions={DAY: ((time(18), time(19)),)}, sessions=(DAY,))
    assert msgspec.json.decode(msgspec.json.encode(config), type=SimulationConfig) == config


def test_candles_outside_the_session_are_refused() -> None:
    recorded = recorded_day(date(2024, 1, 17))
    with pytest.raises(InvalidMarketData, match="candles"):
        market(candles={DAY: recorded}).day(DAY)
    with pytest.raises(InvalidMarketData, match="candles"):
        market(sessions=(date(2024, 1, 17),), candles={date(2024, 1, 17): recorded[::-1]}).day(date(2024, 1, 17))
