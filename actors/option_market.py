"""The options that a backtest trades on an index: contract terms, expiries and volatility, from what the user says and what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.backtest_setup import BacktestRequest
from adapters.candle_files import read_candles
from configs.calendar import calendar_for
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket, OptionTerms, index_volatility, realised_volatility, weekday_expiries
from runtime.errors import InvalidInput
from runtime.market import Instrument, InstrumentId, InstrumentKind

REALISED = "realised"
VOLATILITY_INDEX = "NSE:INDIAVIX"


class _Usual(NamedTuple):
    strike_step: float
    lot_size: Decimal


_USUAL: Mapping[InstrumentId, _Usual] = {
    "NSE:BANKNIFTY": _Usual(100.0, Decimal(15)),
    "NSE:NIFTY": _Usual(50.0, Decimal(50)),
    "NSE:NIFTY50": _Usual(50.0, Decimal(50)),
    "NSE:FINNIFTY": _Usual(50.0, Decimal(40)),
    "NSE:MIDCPNIFTY": _Usual(25.0, Decimal(75)),
    "BSE:SENSEX": _Usual(100.0, Decimal(10)),
}
"""Of contracts in 2023 and 2024; lots have changed before and since, so --lot-size overrules."""


def option_market(request: BacktestRequest, instrument: Instrument, candles: CandleArray) -> OptionMarket | None:
    """Premiums by model for an index, None for anything that is traded itself.

    Raises:
        InvalidInput: the volatility is no number, no readable file, or does not cover the candles.
    """
    if instrument.kind is not InstrumentKind.INDEX:
        return None
    usual = _USUAL.get(instrument.id, _Usual(100.0, instrument.lot_size))
    terms = OptionTerms(
        expiries=weekday_expiries(candles, request.expiry_weekday, monthly=request.expiry == "monthly"),
        strike_step=usual.strike_step,
        lot_size=request.lot_size or usual.lot_size,
        tick_size=instrument.tick_size,
    )
    return OptionMarket(candles, terms, _volatility(request.volatility, candles))


def _volatility(text: str, candles: CandleArray) -> NDArray[np.float64]:
    if text == REALISED:
        return realised_volatility(candles)
    path = Path(text)
    if path.is_file():
        index = read_candles(path, VOLATILITY_INDEX, calendar=calendar_for(VOLATILITY_INDEX), trust_name=True).array()
        return index_volatility(candles, _with_first_open(index))
    try:
        fixed = float(text)
    except ValueError:
        fixed = 0.0
    if not 0.0 < fixed <= _LARGEST:
        raise InvalidInput("--volatility", text, "is no file of a volatility index, no fraction a year such as 0.2, and not `realised`")
    return np.full(len(candles), fixed)


def _with_first_open(index: CandleArray) -> CandleArray:
    """Its first open is known when it opens: as the close of a candle before it, so that both files may begin together."""
    opened_at = np.concatenate([index.opened_at[:1] - index.seconds, index.opened_at])
    prices = np.column_stack([index.open, index.high, index.low, index.close])
    return CandleArray.of(index.instrument, index.timeframe, index.zone, opened_at, np.vstack([np.full((1, 4), index.open[0]), prices]))


_LARGEST = 5.0
