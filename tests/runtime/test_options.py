"""The option model against py_vollib's own test table, its Black-76 figures for NIFTY options, scipy, and put-call parity."""

from __future__ import annotations

import json
from math import exp

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtr

from runtime.errors import InvalidInput
from runtime.market import Right
from runtime.options import bsm_greeks, bsm_price, bsm_price_array, implied_volatility, normal_cdf_array
from tests.shared_data import shared


def test_prices_and_greeks_equal_the_table_of_py_vollib() -> None:
    table = json.loads(shared("golden/black_scholes_py_vollib_test_data.json").read_text())
    assert len(table["data"]) == 101
    for row in table["data"]:
        want = dict(zip(table["columns"], row, strict=True))
        market = {"spot": want["S"], "strike": want["K"], "rate": want["R"], "years": want["t"], "volatility": want["v"]}
        for right, price, prefix in ((Right.CALL, "bs_call", "C"), (Right.PUT, "bs_put", "P")):
            got = bsm_greeks(right, **market)
            assert bsm_price(right, **market) == pytest.approx(want[price], abs=1e-6)
            assert [got.delta, got.gamma, got.theta, got.vega, got.rho] == pytest.approx([want[prefix + g] for g in "DGTVR"], abs=1e-6)


def test_volatility_and_greeks_of_real_nifty_options_equal_two_other_engines() -> None:
    """Black-76 with r = 0: the forward is the spot. Their theta is per calendar day, vega per percentage point."""
    rows = json.loads(shared("golden/greeks_parity_nifty_black76.json").read_text())["parity"]
    compared = 0
    for row in rows:
        right = Right(row["type"])
        market = {"spot": row["F"], "strike": row["K"], "years": row["t"], "rate": row["r"]}
        volatility = implied_volatility(right, row["price"], **market)
        if row["iv_pyvollib"] is None:  # traded below its intrinsic value
            assert volatility is None
            continue
        assert volatility == pytest.approx(row["iv_pyvollib"], rel=1e-9)
        got, want = bsm_greeks(right, volatility=row["iv_pyvollib"], **market), row["greeks"]
        assert [got.delta, got.gamma, got.theta / 365, got.vega / 100] == pytest.approx(
            [want[name]["pyvollib"] for name in ("delta", "gamma", "theta", "vega")], rel=1e-9
        )
        compared += 1
    assert (compared, len(rows)) == (35, 40)


_MARKET = {
    "spot": st.floats(50, 200),
    "strike": st.floats(50, 200),
    "years": st.floats(0.002, 3),
    "rate": st.floats(-0.02, 0.15),
    "volatility": st.floats(0.03, 2),
    "dividend_yield": st.floats(0, 0.1),
}


@given(st.fixed_dictionaries(_MARKET))
def test_put_call_parity(market: dict[str, float]) -> None:
    forward = market["spot"] * exp(-market["dividend_yield"] * market["years"]) - market["strike"] * exp(-market["rate"] * market["years"])
    assert bsm_price(Right.CALL, **market) - bsm_price(Right.PUT, **market) == pytest.approx(forward, abs=1e-10)


@given(st.fixed_dictionaries(_MARKET), st.sampled_from(Right))
def test_greeks_are_the_derivatives_of_the_price(market: dict[str, float], right: Right) -> None:
    greeks = bsm_greeks(right, **market)

    def slope(name: str, step: float) -> float:
        up, down = market | {name: market[name] + step}, market | {name: market[name] - step}
        return (bsm_price(right, **up) - bsm_price(right, **down)) / (2 * step)

    assume(market["years"] > 0.01)
    assert slope("spot", 1e-4) == pytest.approx(greeks.delta, abs=1e-5)
    assert slope("volatility", 1e-5) == pytest.approx(greeks.vega, abs=1e-3)
    assert slope("rate", 1e-5) == pytest.approx(greeks.rho, abs=1e-3)
    assert -slope("years", 1e-6) == pytest.approx(greeks.theta, rel=1e-4, abs=1e-3)


@given(st.fixed_dictionaries(_MARKET), st.sampled_from(Right))
def test_the_implied_volatility_gives_back_the_price(market: dict[str, float], right: Right) -> None:
    price = bsm_price(right, **market)
    intrinsic = bsm_price(right, **(market | {"volatility": 0.0}))
    assume(price - intrinsic > 1e-6)
    volatility = implied_volatility(right, price, **{k: v for k, v in market.items() if k != "volatility"})
    assert volatility is not None
    assert bsm_price(right, **(market | {"volatility": volatility})) == pytest.approx(price, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize(
    "price",
    [0.0, -1.0, float("nan"), 9.0, 150.0],
    ids=["nothing", "negative", "not a number", "below intrinsic value", "above the spot"],
)
def test_no_volatility_explains_an_impossible_price(price: float) -> None:
    assert implied_volatility(Right.CALL, price, spot=110, strike=100, years=0.1, rate=0.0) is None


def test_an_expired_option_is_worth_its_intrinsic_value_and_has_no_greeks() -> None:
    market = {"spot": 110.0, "strike": 100.0, "years": 0.0, "rate": 0.05, "volatility": 0.2}
    assert (bsm_price(Right.CALL, **market), bsm_price(Right.PUT, **market)) == (10, 0)
    assert implied_volatility(Right.CALL, 10.0, spot=110, strike=100, years=0.0, rate=0.05) is None
    with pytest.raises(InvalidInput, match="years/volatility"):
        bsm_greeks(Right.CALL, **market)


@pytest.mark.parametrize(("field", "value"), [("spot", float("nan")), ("strike", 0.0), ("years", -0.1), ("volatility", float("inf"))])
def test_inputs_that_cannot_be_true_are_refused_by_name(field: str, value: float) -> None:
    market = {"spot": 110.0, "strike": 100.0, "years": 0.1, "rate": 0.05, "volatility": 0.2} | {field: value}
    with pytest.raises(InvalidInput, match=field):
        bsm_price(Right.CALL, **market)


def test_the_array_form_equals_the_scalar_one() -> None:
    rng = np.random.default_rng(7)
    spot, strike = rng.uniform(50, 200, 500), rng.uniform(50, 200, 500)
    years, volatility = rng.uniform(0, 2, 500), rng.uniform(0.01, 2, 500)
    years[:5] = 0.0
    for right in Right:
        prices = bsm_price_array(right, spot=spot, strike=strike, years=years, rate=0.06, volatility=volatility)
        scalar = [
            bsm_price(right, spot=s, strike=k, years=t, rate=0.06, volatility=v)
            for s, k, t, v in zip(spot, strike, years, volatility, strict=True)
        ]
        np.testing.assert_allclose(prices, scalar, rtol=1e-10, atol=1e-11)


def test_the_normal_distribution_equals_scipy_to_the_last_digits() -> None:
    x = np.linspace(-40, 40, 200_001)
    np.testing.assert_allclose(normal_cdf_array(x), ndtr(x), rtol=1e-11, atol=1e-15)
