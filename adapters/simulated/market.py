"""The simulated market: every port of the venue reads from this one model, so they never contradict each other."""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import exp, log, sqrt

import msgspec
import numpy as np
from numpy.random import Generator, default_rng

from adapters.simulated import options_model, paths
from adapters.simulated.config import BANKNIFTY, OpeningGap, SimulationConfig
from adapters.simulated.contracts import TICK, Contracts
from adapters.simulated.day import Grid, MarketDay, build_day, generated_shape, last_log_price
from adapters.simulated.paths import Array, Steps, to_tick
from runtime.calendar import ExchangeCalendar
from runtime.errors import InvalidConfig, InvalidInput
from runtime.market import Candle, ChainRow, Instrument, InstrumentId, InstrumentKind, OptionChain, OptionQuote, Right, Timeframe

_DAYS_KEPT = 16
_TICKS_KEPT = 256
_ONE_DAY, _ONE_MINUTE = timedelta(days=1), timedelta(minutes=1)
_CLOSED_DAYS_MAX = 30
_EXTRA_STRIKES = 5
_FUTURE_LOTS = 60_000  # on an average day
_FUTURE_SPREAD_TICKS = 20
_SPOT_SPREAD = 0.0001  # of the price


class TickArrays(msgspec.Struct, frozen=True, kw_only=True):
    """All ticks of one instrument on one day, as the exchange made them: `steps` of the grid and one value per tick.

    `volume` is what was traded since the tick before. None: the instrument has none of it.
    """

    steps: Steps
    price: Array
    volume: Array | None = None
    bid: Array | None = None
    ask: Array | None = None


class SimulatedMarket:
    """A deterministic function of configuration, date and instrument; days and ticks are computed when first asked for.

    Dates before and between the configured sessions exist too, as history.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.calendar = _calendar(config)
        self.contracts = Contracts(config, self.calendar)
        for day in (*config.sessions, *config.candles):
            if not self.calendar.times(day):
                raise InvalidConfig("sessions", day, "not a trading day: add its times to special_sessions")
        self._opens: dict[date, float] = {}
        self._stream = zlib.crc32(config.underlying.encode()) ^ zlib.crc32(BANKNIFTY.encode())
        self.day = lru_cache(maxsize=_DAYS_KEPT)(self._day)
        self.ticks = lru_cache(maxsize=_TICKS_KEPT)(self._ticks)

    def random(self, day: date, purpose: str) -> Generator:
        """The generator for one purpose on one day: independent of what else was asked for, and of the venue's other underlyings."""
        return default_rng([self.config.seed, day.toordinal(), zlib.crc32(purpose.encode(), self._stream)])

    def previous_day(self, day: date) -> date:
        return self._trading_day(day, -_ONE_DAY)

    def next_day(self, day: date) -> date:
        return self._trading_day(day, _ONE_DAY)

    def candles(self, instrument: InstrumentId, day: date) -> list[Candle]:
        """The 1-minute candles that the day's ticks make, ascending."""
        ticks, market_day = self.ticks(instrument, day), self.day(day)
        if not len(ticks.steps):
            return []
        grid = market_day.grid
        minutes: Steps = ticks.steps // grid.per_minute
        first = np.flatnonzero(np.diff(minutes, prepend=-1))
        last = np.append(first[1:], len(minutes)) - 1
        opening_minutes: list[int] = minutes[first].tolist()
        opened_at = [grid.opened_at + minute * _ONE_MINUTE for minute in opening_minutes]
        prices = (ticks.price[first], np.maximum.reduceat(ticks.price, first), np.minimum.reduceat(ticks.price, first), ticks.price[last])
        volumes: list[float | None] = [None] * len(first)
        if ticks.volume is not None:
            volumes = np.add.reduceat(ticks.volume, first).tolist()
        return [
            Candle(
                instrument=instrument,
                timeframe=Timeframe.M1,
                opened_at=ts,
                open=first_price,
                high=high,
                low=low,
                close=close,
                volume=volume,
            )
            for ts, (first_price, high, low, close), volume in zip(opened_at, np.column_stack(prices).tolist(), volumes, strict=True)
        ]

    def chain(self, expiry: date, ts: datetime) -> OptionChain:
        """The chain as it stood at `ts`; outside the session as it stood at the last close.

        Raises:
            InvalidInput: `expiry` is not a listed expiry.
        """
        today = ts.astimezone(self.calendar.zone).date()
        if expiry < today or self.contracts.expiry(expiry.year, expiry.month) != expiry:
            raise InvalidInput("expiry", expiry, f"listed are {[str(each) for each in self.contracts.expiries(today)]}")
        day = self.day_at(ts)
        step = day.step_at(ts)
        strikes = self._strikes(day)
        calls, puts = (self._chain_side(day, step, ts, expiry, right, strikes) for right in (Right.CALL, Right.PUT))
        rows = tuple(ChainRow(strike=strike, call=call, put=put) for strike, call, put in zip(strikes.tolist(), calls, puts, strict=True))
        return OptionChain(underlying=self.config.underlying, expiry=expiry, taken_at=ts, spot=float(day.spot[step]), rows=rows)

    def day_at(self, ts: datetime) -> MarketDay:
        """The trading day that had opened last at `ts`."""
        day = ts.astimezone(self.calendar.zone).date()
        bounds = self.calendar.bounds(day)
        return self.day(day if bounds is not None and bounds[0] <= ts else self.previous_day(day))

    def _day(self, day: date) -> MarketDay:
        grid = Grid(day, self.config, self.calendar)
        return build_day(
            grid,
            self.config,
            lambda purpose: self.random(day, purpose),
            open_price=self._open(day),
            shape=self._shape(grid),
            candles=self.config.candles.get(day, ()),
        )

    def _shape(self, grid: Grid) -> Array:
        return generated_shape(grid, self.config, lambda purpose: self.random(grid.day, purpose))

    def _open(self, day: date) -> float:
        """The opening price: known on the first session and on recorded days, from there on chained day by day."""
        path: list[date] = []
        anchor = self.config.sessions[0]
        while (known := self._known_open(day)) is None:
            path.append(day)
            day = self.previous_day(day) if day > anchor else self.next_day(day)
        for step in reversed(path):
            known = known * exp(self._change(day)) if step > day else known * exp(-self._change(step))
            self._opens[step] = known
            day = step
        return known

    def _known_open(self, day: date) -> float | None:
        recorded = self.config.candles.get(day)
        if recorded:
            return recorded[0].open
        return self.config.start_price if day == self.config.sessions[0] else self._opens.get(day)

    def _change(self, day: date) -> float:
        """Log change from the open of `day` to the open of the next trading day."""
        recorded = self.config.candles.get(day)
        in_session = last_log_price(recorded) if recorded else float(self._shape(Grid(day, self.config, self.calendar))[-1])
        following = self.next_day(day)
        overnight = self.config.annual_volatility * sqrt((1.0 - paths.INTRADAY_SHARE) / paths.TRADING_DAYS)
        gap = sum(log(1.0 + event.percent / 100.0) for event in self.config.specials(OpeningGap, following))
        return in_session + float(self.random(following, "overnight").standard_normal()) * overnight + gap

    def _ticks(self, instrument: InstrumentId, day: date) -> TickArrays:
        contract, market_day = self.contracts.instrument(instrument), self.day(day)
        if contract.kind is InstrumentKind.SPOT:
            return self._spot_ticks(market_day, contract)
        if contract.kind is InstrumentKind.INDEX:
            steps = market_day.live_steps(market_day.grid.per_second)
            return TickArrays(steps=steps, price=market_day.spot[steps])
        expiry = contract.expiry
        if expiry is None or expiry < day:
            return TickArrays(steps=np.empty(0, dtype=np.int64), price=np.empty(0))
        return (
            self._future_ticks(market_day, contract, expiry) if contract.right is None else self._option_ticks(market_day, contract, expiry)
        )

    def _spot_ticks(self, day: MarketDay, contract: Instrument) -> TickArrays:
        steps = day.live_steps(day.grid.per_second)
        price, lot = day.spot[steps], float(contract.lot_size)
        lots = 0 if self.config.spot is None else self.config.spot.daily_lots
        volume = np.diff(np.floor(day.traded[steps] * lots), prepend=0.0) * lot
        bid, ask = options_model.spreads(price, _SPOT_SPREAD)
        return TickArrays(steps=steps, price=price, volume=volume, bid=bid, ask=ask)

    def _future_ticks(self, day: MarketDay, contract: Instrument, expiry: date) -> TickArrays:
        """Fair value at the interest rate and a slow deviation from it, once a second."""
        steps = day.live_steps(1)
        years = options_model.step_years(day, expiry, steps)
        price = to_tick(day.spot[steps] * np.exp(self.config.rate * years + day.basis_noise[steps]), TICK)
        volume = np.diff(np.floor(day.traded[steps] * _FUTURE_LOTS) * float(contract.lot_size), prepend=0.0)
        half_spread = _FUTURE_SPREAD_TICKS * TICK / 2.0
        bid, ask = to_tick(price - half_spread, TICK), to_tick(price + half_spread, TICK)
        return TickArrays(steps=steps, price=price, volume=volume, bid=bid, ask=ask)

    def _option_ticks(self, day: MarketDay, contract: Instrument, expiry: date) -> TickArrays:
        steps, strike, right = day.live_steps(self.config.option_ticks_per_second), contract.strike or 0.0, contract.right or Right.CALL
        price = options_model.prices(day, right, steps, strike, options_model.step_years(day, expiry, steps), self.config.rate)
        volume = np.diff(options_model.volumes(day, strike, expiry, right, steps, float(contract.lot_size)), prepend=0.0)
        bid, ask = options_model.spreads(price)
        return TickArrays(steps=steps, price=price, volume=volume, bid=bid, ask=ask)

    def _strikes(self, day: MarketDay) -> Array:
        """Those around the opening price, and around wherever the day goes."""
        step, around = self.config.strike_step, self.config.strikes_each_side * self.config.strike_step
        at_open = round(float(day.spot[0]) / step) * step
        lowest = min(at_open - around, int(day.spot.min() // step - _EXTRA_STRIKES) * step)
        highest = max(at_open + around, int(day.spot.max() // step + _EXTRA_STRIKES) * step)
        return np.arange(max(lowest, step), highest + step, step, dtype=np.float64)

    def _chain_side(self, day: MarketDay, step: int, ts: datetime, expiry: date, right: Right, strikes: Array) -> list[OptionQuote]:
        contracts = [self.contracts.option(expiry, strike, right) for strike in strikes.tolist()]
        lot_size, rate = float(contracts[0].lot_size), self.config.rate
        inside = ts < day.grid.closed_at
        years = float(options_model.step_years(day, expiry, np.array([step]))[0]) if inside else options_model.years_to_expiry(expiry, ts)
        price = options_model.prices(day, right, step, strikes, years, rate)
        columns = (
            contracts,
            price.tolist(),
            *(side.tolist() for side in options_model.spreads(price)),
            options_model.open_interest(day, strikes, expiry, right, step, lot_size).tolist(),
            options_model.volumes(day, strikes, expiry, right, step, lot_size).tolist(),
            options_model.implied_volatility(day, step, strikes, years, rate).tolist(),
        )
        return [
            OptionQuote(instrument=contract, price=last, bid=bid, ask=ask, open_interest=interest, volume=volume, iv=volatility)
            for contract, last, bid, ask, interest, volume, volatility in zip(*columns, strict=True)
        ]

    def _trading_day(self, day: date, direction: timedelta) -> date:
        for _ in range(_CLOSED_DAYS_MAX):
            day += direction
            if self.calendar.times(day):
                return day
        raise InvalidConfig("special_sessions", day, f"no trading day within {_CLOSED_DAYS_MAX} days")


def _calendar(config: SimulationConfig) -> ExchangeCalendar:
    if config.spot is None:
        return ExchangeCalendar(special=config.special_sessions)
    return ExchangeCalendar(zone=UTC, regular=(time(0), time(0)), weekdays=range(7), special=config.special_sessions)
