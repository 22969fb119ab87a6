"""What the market shows at a moment: quotes, the day so far, depth, open interest and Greeks, all from the simulated market."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import msgspec
import numpy as np

from adapters.simulated import options_model
from adapters.simulated.day import MarketDay
from adapters.simulated.market import SimulatedMarket
from adapters.simulated.paths import Array, Steps
from runtime.market import IST, Candle, InstrumentId, InstrumentKind, Quote, Right
from runtime.options import Greeks, bsm_greeks
from tests.venues.upstox.listing import Listed, Listing
from tests.venues.upstox.settings import VenueSettings

_DAYS_OF_TICKS_KEPT = 1024
_INSTANT = timedelta(microseconds=1)
_FUTURE_INTEREST_LOTS = 25_000
_LEVEL_LOTS = 13  # lots shown at a depth level: a fixed pattern of 1 to this many
_DAY_PER_YEAR = 1.0 / 365.0


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """`opened_at` of the bar; volume in units."""

    opened_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


class Level(msgspec.Struct, frozen=True):
    bid_quantity: int
    bid: float
    ask_quantity: int
    ask: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`volume` and bars of the trading day of `traded_at`; `interest` in units; `volatility` and Greeks of options only.

    `minute` is the one of the last tick, up to that tick; `closed_minute` the one before it, None in the first of the day.

    `bid` and `ask` are None where the instrument has none, as an index.
    """

    listed: Listed
    price: float
    traded_at: datetime
    last_quantity: int
    previous_close: float
    bid: float | None
    ask: float | None
    volume: int
    average: float
    day: Bar
    minute: Bar
    closed_minute: Bar | None
    interest: float
    volatility: float
    greeks: Greeks | None
    step: int

    def levels(self, count: int) -> list[Level]:
        """Depth around bid and ask: one tick a level, quantities by a fixed pattern."""
        if self.bid is None or self.ask is None:
            return []
        lot, tick = int(self.listed.instrument.lot_size), float(self.listed.instrument.tick_size)
        return [
            Level(
                lot * (1 + (self.step + 5 * level) % _LEVEL_LOTS),
                round(max(self.bid - level * tick, tick), 2),
                lot * (1 + (self.step + 7 * level) % _LEVEL_LOTS),
                round(self.ask + level * tick, 2),
            )
            for level in range(count)
        ]


class Ticks(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's ticks of one day with what they add up to: volume, turnover, highest and lowest so far."""

    day: MarketDay
    steps: Steps
    price: Array
    volume: Array
    turnover: Array
    high: Array
    low: Array
    bid: Array | None
    ask: Array | None


class Market:
    """All the venue's instruments at any time. The grid of the first underlying is the venue's own."""

    def __init__(self, settings: VenueSettings) -> None:
        self.markets = tuple(SimulatedMarket(simulation) for simulation in settings.simulations)
        self.listing = Listing(self.markets)
        self.calendar = self.markets[0].calendar
        self._date: tuple[datetime, datetime, datetime, datetime] | None = None
        self._newest: tuple[MarketDay, int, datetime] | None = None
        self.ticks = lru_cache(maxsize=_DAYS_OF_TICKS_KEPT)(self._ticks)
        self._closes = lru_cache(maxsize=_DAYS_OF_TICKS_KEPT * 8)(self._close)

    def next_step(self, now: datetime) -> datetime:
        """The next moment at which the market moves: the end of the step under way, else the next session's open."""
        if not self.in_session(now):
            return self.next_open(now)
        day, step = self._place(now)
        return day.grid.times[step] if day.grid.times[step] > now else day.grid.times[step + 1]

    def next_change(self, now: datetime) -> datetime:
        """The next open or close of a session."""
        bounds = self.calendar.bounds(now.astimezone(IST).date())
        return bounds[1].astimezone(UTC) if bounds is not None and self.in_session(now) else self.next_open(now)

    def is_open(self, now: datetime) -> bool:
        """Whether the exchange trades: a halt and the pause of a session in parts count as closed."""
        if not self.in_session(now):
            return False
        day, step = self._place(now)
        return bool(day.live[step - 1 if day.grid.times[step] > now else step])

    def in_session(self, now: datetime) -> bool:
        """Between first open and last close of the date, halts and pauses included."""
        if self._date is None or not self._date[0] <= now < self._date[1]:
            local = now.astimezone(IST).date()
            midnight = datetime.combine(local, time(0), IST).astimezone(UTC)
            opened_at, closed_at = self.calendar.bounds(local) or (midnight, midnight)
            self._date = midnight, midnight + timedelta(days=1), opened_at.astimezone(UTC), closed_at.astimezone(UTC)
        return self._date[2] <= now < self._date[3]

    def _place(self, now: datetime) -> tuple[MarketDay, int]:
        """The session of the date, and the first step of its grid that starts at `now` or later. Walking step by step costs nothing."""
        day, step, at = self._newest if self._newest is not None else (None, 0, None)
        if day is not None and at == now:
            return day, step
        if day is not None and step < day.grid.steps and day.grid.times[step + 1] == now:
            step += 1
        else:
            day = self.markets[0].day(now.astimezone(IST).date())
            step = day.grid.first_step(now)
        self._newest = day, step, now
        return day, step

    def next_open(self, now: datetime) -> datetime:
        """The first open at or after `now`."""
        today = self.calendar.bounds(now.astimezone(IST).date())
        if today is not None and now <= today[0]:
            return today[0].astimezone(UTC)
        following = self.calendar.bounds(self.markets[0].next_day(now.astimezone(IST).date()))
        assert following is not None
        return following[0].astimezone(UTC)

    def traded(self, listed: Listed, now: datetime) -> bool:
        """Whether the step that ends at `now` has a tick of this instrument."""
        if not self.in_session(now - _INSTANT):
            return False
        day, step = self._place(now)
        ticks = self.ticks(listed.instrument.id, day.date)
        at = int(ticks.steps.searchsorted(step)) - 1
        return at >= 0 and int(ticks.steps[at]) == step - 1

    def quote(self, listed: Listed, now: datetime) -> Quote | None:
        """None for a contract that never traded."""
        found = self._last(listed, now)
        if found is None:
            return None
        ticks, at = found
        bid = None if ticks.bid is None else float(ticks.bid[at])
        ask = None if ticks.ask is None else float(ticks.ask[at])
        return Quote(listed.instrument.id, float(ticks.price[at]), bid, ask)

    def snapshot(self, listed: Listed, now: datetime) -> Snapshot | None:
        found = self._last(listed, now)
        if found is None:
            return None
        ticks, at = found
        day, instrument = ticks.day, listed.instrument
        step = int(ticks.steps[at])
        volume = int(ticks.volume[at])
        greeks, volatility = self._option_state(listed, day, step)
        minute = step // day.grid.per_minute * day.grid.per_minute
        before, first = (int(place) for place in np.searchsorted(ticks.steps, (minute - day.grid.per_minute, minute)))
        return Snapshot(
            listed=listed,
            price=float(ticks.price[at]),
            traded_at=day.grid.times[step],
            last_quantity=int(instrument.lot_size) if ticks.bid is not None else 0,
            previous_close=self._closes(instrument.id, self.markets[0].previous_day(day.date)) or float(ticks.price[0]),
            bid=None if ticks.bid is None else float(ticks.bid[at]),
            ask=None if ticks.ask is None else float(ticks.ask[at]),
            volume=volume,
            average=round(float(ticks.turnover[at]) / volume, 2) if volume else float(ticks.price[at]),
            day=_bar(ticks, 0, at, day.grid.opened_at),
            minute=_bar(ticks, first, at, day.grid.times[minute]),
            closed_minute=_bar(ticks, before, first - 1, day.grid.times[minute - day.grid.per_minute]) if before < first else None,
            interest=self._interest(listed, day, step),
            volatility=volatility,
            greeks=greeks,
            step=step,
        )

    def previous_close(self, listed: Listed, now: datetime) -> float | None:
        """The last price of the session before the one that opened last; None before the contract traded."""
        return self._closes(listed.instrument.id, self.markets[0].previous_day(self.listing.market(listed).day_at(now).date))

    def candles(self, listed: Listed, day: date) -> list[Candle]:
        """The minutes of a whole session, ascending."""
        return self.listing.market(listed).candles(listed.instrument.id, day)

    def daily(self, listed: Listed, day: date) -> Bar | None:
        """A whole session as one bar, None if the contract did not trade."""
        minutes = self.candles(listed, day)
        if not minutes:
            return None
        return Bar(
            opened_at=minutes[0].opened_at,
            open=minutes[0].open,
            high=max(minute.high for minute in minutes),
            low=min(minute.low for minute in minutes),
            close=minutes[-1].close,
            volume=int(sum(minute.volume or 0 for minute in minutes)),
        )

    def interest(self, listed: Listed, ts: datetime) -> float:
        """Units held at `ts`."""
        if listed.instrument.kind is not InstrumentKind.OPTION:
            return self._interest(listed, None, 0)
        day = self.listing.market(listed).day_at(ts)
        return self._interest(listed, day, day.step_at(ts))

    def _interest(self, listed: Listed, day: MarketDay | None, step: int) -> float:
        """Of an option by the model, of a future a constant."""
        instrument = listed.instrument
        if day is None or instrument.expiry is None or instrument.strike is None:
            return float(instrument.lot_size * _FUTURE_INTEREST_LOTS) if instrument.kind is InstrumentKind.FUTURE else 0.0
        strike, right = np.array([instrument.strike]), instrument.right or Right.CALL
        return float(options_model.open_interest(day, strike, instrument.expiry, right, step, float(instrument.lot_size))[0])

    def quotes(self, instruments: Iterable[Listed], now: datetime) -> list[Quote]:
        """Of those that have a tick in the step that ends at `now`."""
        quotes = (self.quote(listed, now) for listed in instruments if self.traded(listed, now))
        return [quote for quote in quotes if quote is not None]

    def _last(self, listed: Listed, now: datetime) -> tuple[Ticks, int] | None:
        """Today's newest tick before `now`, else the last one of the session before."""
        market = self.listing.market(listed)
        if self.in_session(now):
            today, step = self._place(now)
            day = market.day(today.date)
        else:
            day = market.day_at(now)
            step = day.grid.steps
        for end in (step, None):
            ticks = self.ticks(listed.instrument.id, day.date)
            at = len(ticks.steps) if end is None else int(ticks.steps.searchsorted(end))
            if at:
                return ticks, at - 1
            day = market.day(market.previous_day(day.date))
        return None

    def _market_of(self, instrument: InstrumentId) -> SimulatedMarket:
        return max(
            (market for market in self.markets if instrument.startswith(market.config.underlying)),
            key=lambda market: len(market.config.underlying),
        )

    def _ticks(self, instrument: InstrumentId, day: date) -> Ticks:
        market = self._market_of(instrument)
        arrays = market.ticks(instrument, day)
        volume = np.zeros(len(arrays.steps)) if arrays.volume is None else arrays.volume
        empty = not len(arrays.price)
        return Ticks(
            day=market.day(day),
            steps=arrays.steps,
            price=arrays.price,
            volume=np.cumsum(volume),
            turnover=np.cumsum(volume * arrays.price),
            high=arrays.price if empty else np.maximum.accumulate(arrays.price),
            low=arrays.price if empty else np.minimum.accumulate(arrays.price),
            bid=arrays.bid,
            ask=arrays.ask,
        )

    def bar(self, snapshot: Snapshot, minutes: int) -> Bar:
        """The frame of so many minutes, counted from the open, that the snapshot's last tick belongs to, up to that tick."""
        day = self.listing.market(snapshot.listed).day(snapshot.traded_at.astimezone(IST).date())
        ticks = self.ticks(snapshot.listed.instrument.id, day.date)
        at = int(np.searchsorted(ticks.steps, snapshot.step))
        steps = minutes * day.grid.per_minute
        start = snapshot.step // steps * steps
        return _bar(ticks, int(np.searchsorted(ticks.steps, start)), at, day.grid.times[start])

    def _option_state(self, listed: Listed, day: MarketDay, step: int) -> tuple[Greeks | None, float]:
        """Greeks with theta per day, vega and rho per percentage point, as the vendor gives them; and the volatility."""
        instrument, market = listed.instrument, self.listing.market(listed)
        if instrument.kind is not InstrumentKind.OPTION or instrument.expiry is None or instrument.strike is None:
            return None, 0.0
        strike, right = np.array([instrument.strike]), instrument.right or Right.CALL
        years = options_model.step_years(day, instrument.expiry, np.array([step]))
        volatility = float(options_model.implied_volatility(day, step, strike, years, market.config.rate)[0])
        spot = float(day.spot[step])
        return vendor_greeks(right, spot, instrument.strike, float(years[0]), market.config.rate, volatility), volatility

    def _close(self, instrument: InstrumentId, day: date) -> float | None:
        """Without building a whole day of ticks: an option's last price follows from the last step alone."""
        market = self._market_of(instrument)
        contract = market.contracts.instrument(instrument)
        if contract.kind is not InstrumentKind.OPTION or contract.expiry is None or contract.strike is None:
            price = self.ticks(instrument, day).price
            return float(price[-1]) if len(price) else None
        if contract.expiry < day:
            return None
        market_day = market.day(day)
        step = market_day.live_steps(market.config.option_ticks_per_second)[-1:]
        years = options_model.step_years(market_day, contract.expiry, step)
        right = contract.right or Right.CALL
        return float(options_model.prices(market_day, right, step, contract.strike, years, market.config.rate)[0])


def vendor_greeks(right: Right, spot: float, strike: float, years: float, rate: float, volatility: float) -> Greeks | None:
    if years <= 0.0 or volatility <= 0.0:
        return None
    greeks = bsm_greeks(right, spot=spot, strike=strike, years=years, rate=rate, volatility=volatility)
    return Greeks(
        delta=round(greeks.delta, 4),
        gamma=round(greeks.gamma, 6),
        theta=round(greeks.theta * _DAY_PER_YEAR, 4),
        vega=round(greeks.vega / 100.0, 4),
        rho=round(greeks.rho / 100.0, 4),
    )


def _bar(ticks: Ticks, first: int, last: int, opened_at: datetime) -> Bar:
    price = ticks.price[first : last + 1]
    before = float(ticks.volume[first - 1]) if first else 0.0
    high, low = (ticks.high[last], ticks.low[last]) if first == 0 else (price.max(), price.min())
    return Bar(
        opened_at=opened_at,
        open=float(price[0]),
        high=float(high),
        low=float(low),
        close=float(price[-1]),
        volume=int(float(ticks.volume[last]) - before),
    )
