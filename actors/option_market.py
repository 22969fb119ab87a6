"""The options that a backtest trades on an index: contract terms, expiries, volatility and recorded chains, from what the user says and
what is usual.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from actors.backtest_setup import BacktestRequest, describe_instrument
from actors.candle_source import STORE
from adapters.candle_files import read_candles
from adapters.chain_files import ChainFile
from configs.calendar import calendar_for
from runtime.backtest.candle_array import CandleArray
from runtime.backtest.options import OptionMarket, OptionTerms, index_volatility, realised_volatility, weekday_expiries
from runtime.errors import InvalidInput
from runtime.market import Instrument, InstrumentId, InstrumentKind, OptionChain

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


class OptionData(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest of options takes from files and the store, read once for any number of runs.

    `volatility` as `OptionMarket` takes it; `chains` ascend by time; `quality`: what was wrong with them, a line each.
    """

    volatility: NDArray[np.float64]
    chains: tuple[OptionChain, ...] = ()
    quality: tuple[str, ...] = ()


StoredChains: TypeAlias = Callable[[InstrumentId, datetime, datetime], Sequence[OptionChain]]
"""The chains of an index that a running system has recorded from one time to another, ascending."""


def option_data(
    request: BacktestRequest, instrument: InstrumentId, candles: CandleArray, stored: StoredChains | None = None
) -> OptionData | None:
    """None for anything that is traded itself. `stored` is asked where `request.chains` says `store`.

    Raises:
        InvalidInput: the volatility is no number, no readable file, or does not cover the candles; or see `read_chains`.
    """
    described = describe_instrument(request, instrument)
    if described.kind is not InstrumentKind.INDEX:
        if request.chains is not None:
            raise InvalidInput("--chains", request.chains, f"{request.strategy} does not trade options on {instrument}")
        return None
    volatility = _volatility(request.volatility, candles)
    if request.chains is None:
        return OptionData(volatility=volatility)
    chains, quality = read_chains(request.chains, candles, _terms(request, described, candles), stored)
    return OptionData(volatility=volatility, chains=chains, quality=quality)


def option_market(request: BacktestRequest, instrument: Instrument, candles: CandleArray, data: OptionData | None) -> OptionMarket | None:
    """None for anything that is traded itself."""
    if data is None:
        return None
    return OptionMarket(candles, _terms(request, instrument, candles), data.volatility, data.chains)


def _terms(request: BacktestRequest, instrument: Instrument, candles: CandleArray) -> OptionTerms:
    usual = _USUAL.get(instrument.id, _Usual(100.0, instrument.lot_size))
    return OptionTerms(
        expiries=weekday_expiries(candles, request.expiry_weekday, monthly=request.expiry == "monthly"),
        strike_step=usual.strike_step,
        lot_size=request.lot_size or usual.lot_size,
        tick_size=instrument.tick_size,
    )


def read_chains(
    source: str, candles: CandleArray, terms: OptionTerms, stored: StoredChains | None
) -> tuple[tuple[OptionChain, ...], tuple[str, ...]]:
    """Those taken while the candles last, ascending, and what was wrong with the others.

    Raises:
        InvalidInput: no such file, no store at hand, or no chain at all falls among the candles.
        InvalidMarketData: the file is not of a known form.
    """
    first = datetime.fromtimestamp(int(candles.opened_at[0]), UTC)
    last = datetime.fromtimestamp(int(candles.opened_at[-1]) + candles.seconds, UTC)
    quality: tuple[str, ...] = ()
    if source == STORE:
        if stored is None:
            raise InvalidInput("--chains", source, "no store is at hand here: name a file")
        chains = list(stored(candles.instrument, first, last))
    elif Path(source).is_file():
        calendar = calendar_for(candles.instrument)
        file = ChainFile(source, candles.instrument, expiry_of=_next_of(terms.expiries), calendar=calendar, lot_size=terms.lot_size)
        chains = [chain for chain in file if first <= chain.taken_at <= last]
        quality = tuple(file.report.lines())
    else:
        raise InvalidInput("--chains", source, "is not a file; name one of recorded option chains, or `store`")
    if not chains:
        raise InvalidInput("--chains", source, f"holds no option chain of {candles.instrument} between {first} and {last}")
    return tuple(sorted(chains, key=attrgetter("taken_at"))), quality


def _next_of(expiries: Sequence[date]) -> Callable[[date], date]:
    """The expiry of a day, for a file that names none: the next of those that the candles' own calendar gives."""
    return lambda day: expiries[min(bisect_left(expiries, day), len(expiries) - 1)]


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
