"""Options on an index that has no option history: contracts and chains by rule, premiums by model, recorded chains where there are any."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import nan

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from runtime.backtest.candle_array import SECONDS_A_DAY, CandleArray
from runtime.backtest.premiums import premium, premium_columns
from runtime.backtest.prices import PriceColumns
from runtime.chains import pcr, side
from runtime.compiled import compiled
from runtime.errors import InvalidConfig
from runtime.market import Candle, ChainRow, Instrument, InstrumentKind, OptionChain, OptionQuote, Right
from runtime.options import implied_volatility

CHAIN_AGE_MAX = timedelta(minutes=11)
"""As live: nobody decides on an older chain."""
IMPLIED_AGE_MAX = 3_600
"""Seconds for which the volatility implied by a recorded quote is trusted; then the model's takes over."""
_WINDOW_ROWS = 32
_WINDOWS_KEPT = 4
_YEAR_SECONDS = 365.0 * SECONDS_A_DAY


class OptionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an instrument master would say. `expiries` ascend; `expiry_time` is exchange-local; `rate` per year, a fraction."""

    expiries: tuple[date, ...]
    strike_step: float = 100.0
    strikes_each_side: int = 1
    lot_size: Decimal = Decimal(15)
    tick_size: Decimal = Decimal("0.05")
    rate: float = 0.06
    expiry_time: time = time(15, 30)

    def __post_init__(self) -> None:
        if not self.expiries or any(later <= earlier for earlier, later in zip(self.expiries, self.expiries[1:], strict=False)):
            raise InvalidConfig("expiries", self.expiries[:4], "give the expiry dates, ascending and without repeats")
        if not self.strike_step > 0:
            raise InvalidConfig("strike_step", self.strike_step, "must be positive")


class OptionMarket:
    """The options on the index of `candles`, as chains for strategies and prices for orders.

    `volatility`: a year's, as a fraction, per candle, known before the candle opens (`index_volatility`, `realised_volatility`).
    `recorded`: chains ascending by time. Where one is at most `CHAIN_AGE_MAX` old the strategy is shown it, and its contracts
    are priced at the volatility that their newest recorded price implies; elsewhere chains and prices are the model's.
    Every premium between two recorded ones is computed, so a backtest of options is always labelled synthetic.
    """

    synthetic = True

    def __init__(
        self, candles: CandleArray, terms: OptionTerms, volatility: NDArray[np.float64], recorded: Sequence[OptionChain] = ()
    ) -> None:
        if len(volatility) != len(candles) or not (np.isfinite(volatility).all() and (volatility > 0).all()):
            raise InvalidConfig("volatility", len(volatility), f"give a positive finite one for each of the {len(candles)} candles")
        if exchange_day(candles, len(candles) - 1) > terms.expiries[-1]:
            raise InvalidConfig("expiries", terms.expiries[-1], f"end before the candles do ({exchange_day(candles, len(candles) - 1)})")
        self.terms = terms
        self._candles, self._volatility, self._recorded = candles, volatility, recorded
        self._taken_at = [chain.taken_at.timestamp() for chain in recorded]
        self._contracts: dict[tuple[date, float], tuple[Instrument, Instrument]] = {}
        self._expiry_times: dict[date, float] = {}
        self._tick = terms.tick_size.as_integer_ratio()
        self._windows: dict[str, PriceColumns] = {}
        self._price, self._columns = compiled(premium), compiled(premium_columns)

    def fingerprint(self) -> str:
        """A hash over terms, volatility and recorded chains."""
        digest = hashlib.blake2b(self._volatility.tobytes(), digest_size=16)
        digest.update(msgspec.json.encode(self.terms))
        for chain in self._recorded:
            digest.update(msgspec.msgpack.encode(chain))
        return digest.hexdigest()

    def notes(self) -> tuple[str, ...]:
        """What its premiums follow, in plain words."""
        if not self._recorded:
            return ()
        first, last = (chain.taken_at.astimezone(self._candles.zone) for chain in (self._recorded[0], self._recorded[-1]))
        span = f"{len(self._recorded):,} recorded chains ({first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M})"
        kept = "the volatility that its newest recorded price implies, for an hour; where there is none, the model's"
        return (f"Option premiums follow {span}: a contract is priced at {kept}.",)

    # --- what a strategy sees ---

    def chains(self, row: int, candle: Candle) -> tuple[OptionChain, OptionChain | None]:
        """The chain at the candle's close, with the index's close as its spot, and the recorded one before it."""
        closed_at = self._closed_at(row)
        found = bisect_right(self._taken_at, closed_at) - 1
        previous = self._recorded[found - 1] if found > 0 else None
        if found >= 0 and closed_at - self._taken_at[found] <= CHAIN_AGE_MAX.total_seconds():
            return structs.replace(self._recorded[found], spot=candle.close), previous
        return self._model_chain(row, candle), None

    def put_call_ratios(self) -> NDArray[np.float64]:
        """Of the newest recorded chain at each candle's close, NaN where it is too old or has no open interest."""
        ratios = np.array([nan, *(nan if (ratio := pcr(chain)) is None else ratio for chain in self._recorded)])
        closes = self._candles.opened_at + self._candles.seconds
        found = np.searchsorted(np.array(self._taken_at), closes, side="right")
        taken_at = np.array([-np.inf, *self._taken_at])[found]
        return np.where(closes - taken_at <= CHAIN_AGE_MAX.total_seconds(), ratios[found], nan)

    def _model_chain(self, row: int, candle: Candle) -> OptionChain:
        terms, spot = self.terms, candle.close
        expiry = terms.expiries[bisect_left(terms.expiries, exchange_day(self._candles, row))]
        left = self._expires_at(expiry) - self._closed_at(row)
        if left <= 0:  # the last minute of an expiry day
            expiry = terms.expiries[min(bisect_right(terms.expiries, expiry), len(terms.expiries) - 1)]
            left = self._expires_at(expiry) - self._closed_at(row)
        volatility, step = float(self._volatility[row]), terms.strike_step
        middle = round(spot / step)
        rows: list[ChainRow] = []
        for number in range(max(middle - terms.strikes_each_side, 1), middle + terms.strikes_each_side + 1):
            strike = number * step
            call, put = self._pair(expiry, strike)
            call_price = self._on_tick(self._price(1.0, spot, strike, left, terms.rate, volatility))
            put_price = self._on_tick(self._price(-1.0, spot, strike, left, terms.rate, volatility))
            rows.append(
                ChainRow(
                    strike=strike,
                    call=OptionQuote(instrument=call, price=call_price, iv=volatility),
                    put=OptionQuote(instrument=put, price=put_price, iv=volatility),
                )
            )
        return OptionChain(underlying=candle.instrument, expiry=expiry, taken_at=candle.closed_at, spot=spot, rows=tuple(rows))

    def contract(self, expiry: date, strike: float, right: Right) -> Instrument:
        call, put = self._pair(expiry, strike)
        return call if right is Right.CALL else put

    def _pair(self, expiry: date, strike: float) -> tuple[Instrument, Instrument]:
        """Call and put."""
        pair = self._contracts.get((expiry, strike))
        if pair is None:
            pair = self._contracts[expiry, strike] = self._listed(expiry, strike, Right.CALL), self._listed(expiry, strike, Right.PUT)
        return pair

    def _listed(self, expiry: date, strike: float, right: Right) -> Instrument:
        return Instrument(
            id=f"{self._candles.instrument}{expiry:%y%b%d}".upper() + f"{strike:g}{right}",
            kind=InstrumentKind.OPTION,
            tick_size=self.terms.tick_size,
            lot_size=self.terms.lot_size,
            underlying=self._candles.instrument,
            expiry=expiry,
            strike=strike,
            right=right,
        )

    def _on_tick(self, price: float) -> float:
        numerator, divisor = self._tick
        return max(round(price * divisor / numerator), 1) * numerator / divisor

    # --- what an order meets ---

    def columns(self, instrument: Instrument, row: int) -> PriceColumns:
        """Premiums on `row` and the rows after it; of anything but an option, the index's own prices."""
        window = self._windows.get(instrument.id)
        if window is not None and window.first <= row < window.last:
            return window
        if instrument.kind is not InstrumentKind.OPTION:
            candles = self._candles
            window = PriceColumns(0, candles.open, candles.high, candles.low, candles.close)
        else:
            window = self._window(instrument, row)
        if len(self._windows) >= _WINDOWS_KEPT:
            self._windows.pop(next(iter(self._windows)))
        self._windows[instrument.id] = window
        return window

    def _window(self, instrument: Instrument, row: int) -> PriceColumns:
        candles, last = self._candles, min(row + _WINDOW_ROWS, len(self._candles))
        rows = slice(row, last)
        out = np.empty((4, last - row))
        numerator, divisor = instrument.tick_size.as_integer_ratio()
        self._columns(
            1.0 if instrument.right is Right.CALL else -1.0,
            float(instrument.strike or nan),
            self._expires_at(instrument.expiry or date.max),
            self.terms.rate,
            float(numerator),
            float(divisor),
            float(candles.seconds),
            candles.opened_at[rows],
            candles.open[rows],
            candles.high[rows],
            candles.low[rows],
            candles.close[rows],
            self._volatility[rows] if not self._recorded else self._implied(instrument, row, last),
            out,
        )
        return PriceColumns(row, out[0], out[1], out[2], out[3])

    def _implied(self, instrument: Instrument, first: int, last: int) -> NDArray[np.float64]:
        """The model's volatility, replaced by what recorded quotes of this contract imply, each until the next."""
        volatility = self._volatility[first:last].copy()
        opened_at = self._candles.opened_at[first:last]
        begin = bisect_left(self._taken_at, float(opened_at[0]) - IMPLIED_AGE_MAX)
        for at in range(begin, bisect_right(self._taken_at, float(opened_at[-1]))):
            quote = _quote_of(self._recorded[at], instrument)
            if quote is None or not quote.price:
                continue
            left = self._expires_at(instrument.expiry or date.max) - self._taken_at[at]
            implied = implied_volatility(
                instrument.right or Right.CALL,
                quote.price,
                spot=self._recorded[at].spot,
                strike=instrument.strike or nan,
                years=max(left, 0.0) / _YEAR_SECONDS,
                rate=self.terms.rate,
            )
            if implied is not None:
                volatility[(opened_at >= self._taken_at[at]) & (opened_at < self._taken_at[at] + IMPLIED_AGE_MAX)] = implied
        return volatility

    def _expires_at(self, expiry: date) -> float:
        found = self._expiry_times.get(expiry)
        if found is None:
            found = self._expiry_times[expiry] = datetime.combine(expiry, self.terms.expiry_time, self._candles.zone).timestamp()
        return found

    def _closed_at(self, row: int) -> float:
        """Epoch seconds."""
        return float(self._candles.opened_at.item(row) + self._candles.seconds)


def exchange_day(candles: CandleArray, row: int) -> date:
    return date.fromordinal(_EPOCH_ORDINAL + candles.day.item(row))


def weekday_expiries(candles: CandleArray, weekday: int = 3, *, monthly: bool = False) -> tuple[date, ...]:
    """Expiries by rule, for where no contract list exists: each week's (`monthly`: each month's last) `weekday`, 0 for Monday, or the
    last trading day of the candles before it. Goes on to the first such day after the last candle.
    """
    days = [date.fromordinal(_EPOCH_ORDINAL + day) for day in np.unique(candles.day).tolist()]
    found: list[date] = []
    day = days[0] + timedelta(days=(weekday - days[0].weekday()) % 7)
    while not found or found[-1] < days[-1]:
        if not monthly or (day + timedelta(days=7)).month != day.month:
            traded = bisect_right(days, day) - 1
            within = traded >= 0 and day <= days[-1] and (day - days[traded]).days < 5
            found.append(days[traded] if within else day)
        day += timedelta(days=7)
    return tuple(dict.fromkeys(found))


def index_volatility(candles: CandleArray, index: CandleArray) -> NDArray[np.float64]:
    """Of a volatility index in percentage points (India VIX, VIX): its newest close before each candle opens.

    Raises:
        InvalidConfig: the index begins after the candles.
    """
    found = np.searchsorted(index.opened_at + index.seconds, candles.opened_at, side="right") - 1
    if found[0] < 0:
        raise InvalidConfig("volatility index", index.instrument, "has no value before the first candle: start later")
    return index.close[found] / 100.0


def realised_volatility(candles: CandleArray, days: int = 20, *, first: float = 0.2) -> NDArray[np.float64]:
    """Standard deviation of the last `days` daily log returns before each candle's day, times the root of 252; `first` until there are two."""
    starts = np.append(np.flatnonzero(np.diff(candles.day, prepend=candles.day[0] - 1)), len(candles))
    returns = np.diff(np.log(candles.close[starts[1:] - 1]))
    by_day = [
        float(np.std(returns[max(day - 1 - days, 0) : day - 1], ddof=1)) * np.sqrt(252.0) if day > 2 else first
        for day in range(len(starts) - 1)
    ]
    return np.repeat(np.maximum(by_day, 0.01), np.diff(starts))


def _quote_of(chain: OptionChain, instrument: Instrument) -> OptionQuote | None:
    if chain.expiry != instrument.expiry or instrument.right is None:
        return None
    at = bisect_left(chain.rows, instrument.strike or 0.0, key=lambda row: row.strike)
    if at == len(chain.rows) or chain.rows[at].strike != instrument.strike:
        return None
    return side(chain.rows[at], instrument.right)


_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
