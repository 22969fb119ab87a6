"""The range that sizes follow: of the newest candles, of a future as of its index, of an option by its delta."""

from __future__ import annotations

from datetime import date
from math import exp, log, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.market import ChainRow, OptionChain, OptionQuote, Right
from runtime.options import bsm_price
from runtime.ranges import PERIOD, TrueRanges, contract_range
from tests.builders import FUTURE, at, option

INDEX = "NSE:BANKNIFTY"
CLOSE = at("15:30")


def ranges(candles: list[tuple[float, float, float]]) -> TrueRanges:
    found = TrueRanges()
    for candle in candles:
        found.add(*candle)
    return found


def test_the_mean_is_that_of_fourteen_true_ranges() -> None:
    """Thirteen candles that move by 2, then a gap of 8 up (110 less the close of 101): (13 × 2 + 9) / 14."""
    calm = [(102.0, 100.0, 101.0)] * 14
    assert ranges([*calm, (110.0, 109.0, 109.5)]).mean == (13 * 2 + 9) / 14
    assert ranges([*calm, (95.0, 94.0, 94.5)]).mean == (13 * 2 + 7) / 14


def test_there_is_none_before_fifteen_candles_and_none_of_a_price_that_stands_still() -> None:
    assert ranges([(102.0, 100.0, 101.0)] * 14).mean is None
    assert ranges([(102.0, 100.0, 101.0)] * 15).mean == 2.0
    assert ranges([(100.0, 100.0, 100.0)] * 30).mean is None


prices = st.floats(1.0, 1000.0)


@given(st.lists(st.tuples(prices, prices, prices).map(sorted), min_size=PERIOD + 1, max_size=60))
def test_where_a_history_begins_makes_no_difference(history: list[list[float]]) -> None:
    candles = [(high, low, close) for low, close, high in history]
    assert ranges(candles).mean == ranges(candles[-PERIOD - 1 :]).mean


def range_of(contract: Any, mean: float | None = 100.0, **changes: Any) -> float | None:
    given: dict[str, Any] = {
        "of": INDEX,
        "spot": 52_000.0,
        "price": None,
        "chain": None,
        "at": at("15:30", date(2026, 11, 20)),
        "close": CLOSE,
    }
    return contract_range(contract, mean, **(given | changes))


def chain(volatility: float, strike: int = 52_000) -> OptionChain:
    call, put = (OptionQuote(instrument=option(strike, right), iv=volatility) for right in (Right.CALL, Right.PUT))
    row = ChainRow(strike=float(strike), call=call, put=put)
    return OptionChain(underlying=INDEX, expiry=date(2026, 11, 24), taken_at=at("15:25"), spot=52_000.0, rows=(row,))


def test_a_future_moves_as_its_index_and_what_is_looked_at_as_itself() -> None:
    assert range_of(FUTURE) == 100.0
    assert range_of(option(), of=option().id) == 100.0


def normal_cdf(x: float) -> float:
    """Trapezoids of the density from -10."""
    steps = 20_000
    width = (x + 10) / steps
    heights = [exp(-((-10 + width * step) ** 2) / 2) / sqrt(6.283185307179586) for step in range(steps + 1)]
    return width * (sum(heights) - (heights[0] + heights[-1]) / 2)


@pytest.mark.parametrize("right", list(Right))
@pytest.mark.parametrize("strike", [51_000, 52_000, 53_000])
def test_an_option_moves_by_its_delta_at_the_chains_volatility(right: Right, strike: int) -> None:
    """Four days to expiry at 18 % a year, no interest: N(d1) of a call, 1 less of a put (Hull, ch. 19)."""
    years = 4 / 365
    d1 = (log(52_000 / strike) + 0.18**2 * years / 2) / (0.18 * sqrt(years))
    delta = normal_cdf(d1) if right is Right.CALL else 1 - normal_cdf(d1)
    assert range_of(option(strike, right), chain=chain(0.18, strike)) == pytest.approx(100 * delta, rel=1e-5)


def test_without_the_chain_the_volatility_is_that_of_the_options_price() -> None:
    price = bsm_price(Right.PUT, spot=52_000.0, strike=52_000.0, years=4 / 365, rate=0.0, volatility=0.18)
    known = range_of(option(right=Right.PUT), chain=chain(0.18))
    assert known is not None
    assert range_of(option(right=Right.PUT), price=price) == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"mean": None}, {"price": None}, {"price": 0.01, "spot": 60_000.0}, {"price": 400.0, "at": at("15:30", date(2026, 11, 24))}],
)
def test_what_is_not_known_is_none(changes: dict[str, Any]) -> None:
    """No candles; no price; a price below the intrinsic value; no time left."""
    assert range_of(option(), **changes) is None
