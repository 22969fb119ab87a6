"""Black-Scholes-Merton prices, Greeks and implied volatility of European options.

`years` to expiry, `rate`, `dividend_yield` (continuous) and `volatility` are per year, as fractions. Black's model on a
forward F is spot = F with dividend_yield = rate. Formulas: Hull, Options, Futures, and Other Derivatives, ch. 15, 17, 19.
"""

from __future__ import annotations

from math import erfc, exp, isfinite, log, pi, sqrt

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtime.errors import InvalidInput
from runtime.market import Right

_SQRT_2 = sqrt(2.0)
_SQRT_2_PI = sqrt(2.0 * pi)
_VOLATILITY_MAX = 20.0


class Greeks(msgspec.Struct, frozen=True, kw_only=True):
    """Derivatives of the price: `theta` per year (÷ 365 for a calendar day), `vega` and `rho` per 1.0 (÷ 100 for a percentage point)."""

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


def bsm_price(
    right: Right, *, spot: float, strike: float, years: float, rate: float, volatility: float, dividend_yield: float = 0.0
) -> float:
    """Price of the option; at expiry or without volatility the discounted intrinsic value."""
    _check(spot=spot, strike=strike, years=years, volatility=volatility)
    return _price(right, spot, strike, years, rate, volatility, dividend_yield)


def bsm_greeks(
    right: Right, *, spot: float, strike: float, years: float, rate: float, volatility: float, dividend_yield: float = 0.0
) -> Greeks:
    """Raises InvalidInput at expiry or without volatility, where the Greeks are not defined."""
    _check(spot=spot, strike=strike, years=years, volatility=volatility)
    if years == 0.0 or volatility == 0.0:
        raise InvalidInput("years/volatility", (years, volatility), "Greeks need time to expiry and volatility above zero")
    spread = volatility * sqrt(years)
    d1 = (log(spot / strike) + (rate - dividend_yield) * years) / spread + spread / 2.0
    d2 = d1 - spread
    sign = 1.0 if right is Right.CALL else -1.0
    carry, discount = exp(-dividend_yield * years), exp(-rate * years)
    density = carry * exp(-d1 * d1 / 2.0) / _SQRT_2_PI
    held, owed = spot * carry * normal_cdf(sign * d1), strike * discount * normal_cdf(sign * d2)
    return Greeks(
        delta=sign * carry * normal_cdf(sign * d1),
        gamma=density / (spot * spread),
        theta=-spot * density * volatility / (2.0 * sqrt(years)) + sign * (dividend_yield * held - rate * owed),
        vega=spot * density * sqrt(years),
        rho=sign * years * owed,
    )


def implied_volatility(
    right: Right, price: float, *, spot: float, strike: float, years: float, rate: float, dividend_yield: float = 0.0
) -> float | None:
    """The volatility at which the model gives `price`, by bisection-guarded Newton steps; None where no volatility up to 2000 % does."""
    _check(spot=spot, strike=strike, years=years, volatility=0.0)
    if not isfinite(price) or price <= 0.0 or years == 0.0:
        return None
    other = Right.PUT if right is Right.CALL else Right.CALL
    sign = 1.0 if right is Right.CALL else -1.0
    forward_value = sign * (spot * exp(-dividend_yield * years) - strike * exp(-rate * years))
    # The out-of-the-money twin has the same volatility (put-call parity) and no intrinsic value to drown the digits in.
    if forward_value > 0.0:
        right, price = other, price - forward_value
    low, high = 0.0, _VOLATILITY_MAX
    if not 0.0 < price < _price(right, spot, strike, years, rate, high, dividend_yield):
        return None
    guess = max(1e-3, sqrt(2.0 * abs(log(spot / strike) + (rate - dividend_yield) * years) / years))  # vega's maximum: Newton converges
    for _ in range(100):
        error = _price(right, spot, strike, years, rate, guess, dividend_yield) - price
        if error > 0.0:
            high = guess
        else:
            low = guess
        vega = bsm_greeks(right, spot=spot, strike=strike, years=years, rate=rate, volatility=guess, dividend_yield=dividend_yield).vega
        step = guess - error / vega if vega > 0.0 else low
        new = step if low < step < high else (low + high) / 2.0
        if abs(new - guess) <= 1e-14 * guess:
            return new
        guess = new
    return guess


def bsm_price_array(
    right: Right,
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: float,
    volatility: ArrayLike,
    dividend_yield: float = 0.0,
) -> NDArray[np.float64]:
    """`bsm_price` over arrays that broadcast against each other. Inputs are the caller's own: they are not checked."""
    s, k, t, v = (np.asarray(values, dtype=np.float64) for values in (spot, strike, years, volatility))
    sign = 1.0 if right is Right.CALL else -1.0
    held, owed = s * np.exp(-dividend_yield * t), k * np.exp(-rate * t)
    spread = v * np.sqrt(t)
    safe = np.where(spread > 0.0, spread, 1.0)
    d1 = np.log(held / owed) / safe + safe / 2.0
    model = sign * (held * normal_cdf_array(sign * d1) - owed * normal_cdf_array(sign * (d1 - safe)))
    return np.where(spread > 0.0, model, np.maximum(sign * (held - owed), 0.0))


def normal_cdf(x: float) -> float:
    return 0.5 * erfc(-x / _SQRT_2)


_NUMERATOR = (
    0.0352624965998911,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_DENOMINATOR = (
    0.0883883476483184,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)


def normal_cdf_array(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hart's double-precision approximation, after West, Better approximations to cumulative normal functions (Wilmott, 2005)."""
    size = np.minimum(np.abs(x), 37.0)
    bell = np.exp(-size * size / 2.0)
    near = bell * np.polyval(_NUMERATOR, size) / np.polyval(_DENOMINATOR, size)
    far = bell / (size + 1.0 / (size + 2.0 / (size + 3.0 / (size + 4.0 / (size + 0.65))))) / _SQRT_2_PI
    tail = np.where(size < 7.07106781186547, near, far)
    return np.where(x > 0.0, 1.0 - tail, tail)


def _price(right: Right, spot: float, strike: float, years: float, rate: float, volatility: float, dividend_yield: float) -> float:
    sign = 1.0 if right is Right.CALL else -1.0
    held, owed = spot * exp(-dividend_yield * years), strike * exp(-rate * years)
    spread = volatility * sqrt(years)
    if spread == 0.0:
        return max(sign * (held - owed), 0.0)
    d1 = log(held / owed) / spread + spread / 2.0
    return max(sign * (held * normal_cdf(sign * d1) - owed * normal_cdf(sign * (d1 - spread))), 0.0)


def _check(*, spot: float, strike: float, years: float, volatility: float) -> None:
    for name, value in (("spot", spot), ("strike", strike)):
        if not (isfinite(value) and value > 0.0):
            raise InvalidInput(name, value, "must be a positive finite number")
    for name, value in (("years", years), ("volatility", volatility)):
        if not (isfinite(value) and value >= 0.0):
            raise InvalidInput(name, value, "must be a finite number, zero or above")
