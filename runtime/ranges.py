"""How far the price of a traded contract moves in a candle: the average true range that `volatility_target` sizes by."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from runtime.errors import InvalidInput
from runtime.market import Instrument, InstrumentId, InstrumentKind, OptionChain
from runtime.options import bsm_greeks, implied_volatility

PERIOD = 14
_YEAR_SECONDS = 365 * 86_400.0
_DIGITS = 6


class TrueRanges:
    """Mean true range of the newest `PERIOD` candles: the first value of Wilder's average, taken anew with each candle.

    It looks no further back than that, so that a restart and a backtest that begin elsewhere find the same. The true range is
    the candle's high less its low, with the close before it counted in (Wilder, New Concepts in Technical Trading Systems, 1978).
    """

    __slots__ = ("_close", "_ranges")

    def __init__(self) -> None:
        self._ranges: deque[float] = deque(maxlen=PERIOD)
        self._close: float | None = None

    def add(self, high: float, low: float, close: float) -> None:
        if self._close is not None:
            self._ranges.append(max(high, self._close) - min(low, self._close))
        self._close = close

    @property
    def mean(self) -> float | None:
        """None before `PERIOD` + 1 candles, or where none of them moved."""
        return sum(self._ranges) / PERIOD if len(self._ranges) == PERIOD and any(self._ranges) else None


def contract_range(
    instrument: Instrument,
    mean: float | None,
    *,
    of: InstrumentId,
    spot: float,
    price: float | None,
    chain: OptionChain | None,
    at: datetime,
    close: datetime,
) -> float | None:
    """Of `instrument`, in its own price, where the candles of `of` have the mean range `mean` at the price `spot`.

    A future moves as its underlying; an option by its delta: that of the volatility in the chain, else of the one that its
    `price` implies, at no interest. `close` is the end of today's session, whose time of day is taken for the expiry's. None
    where either is unknown.
    """
    if mean is None or instrument.id == of or instrument.kind is not InstrumentKind.OPTION:
        return None if mean is None else round(mean, _DIGITS)
    if instrument.right is None or instrument.strike is None or instrument.expiry is None:
        return None
    years = (datetime.combine(instrument.expiry, close.timetz()) - at).total_seconds() / _YEAR_SECONDS
    if years <= 0:
        return None
    terms = {"spot": spot, "strike": instrument.strike, "years": years, "rate": 0.0}
    try:
        volatility = _quoted(instrument, chain) or implied_volatility(instrument.right, price or 0.0, **terms)
        moved = None if not volatility else abs(bsm_greeks(instrument.right, volatility=volatility, **terms).delta) * mean
    except InvalidInput:
        return None
    return round(moved, _DIGITS) or None if moved is not None else None


def _quoted(instrument: Instrument, chain: OptionChain | None) -> float | None:
    for row in chain.rows if chain is not None else ():
        for quote in (row.call, row.put):
            if quote is not None and quote.instrument.id == instrument.id:
                return quote.iv
    return None
