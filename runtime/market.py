"""What a venue tells us: instruments, ticks, candles, option chains.

Prices in market data are float64 in the instrument's quote currency; every time is timezone-aware. Values that cannot be
true (NaN, infinite, zero or negative prices) are refused here, at construction, with `InvalidMarketData`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from runtime.errors import InvalidMarketData

InstrumentId: TypeAlias = str
"""Canonical symbol: `NSE:BANKNIFTY`, `NSE:BANKNIFTY26NOV52000CE`, `BTC/USDT`, `CME:MES`."""

IST = ZoneInfo("Asia/Kolkata")


class Timeframe(StrEnum):
    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def minutes(self) -> int:
        return _MINUTES[self]

    @property
    def duration(self) -> timedelta:
        return _DURATIONS[self]


_MINUTES = {
    Timeframe.M1: 1,
    Timeframe.M3: 3,
    Timeframe.M5: 5,
    Timeframe.M15: 15,
    Timeframe.M30: 30,
    Timeframe.H1: 60,
    Timeframe.H4: 240,
    Timeframe.D1: 1440,
}
_DURATIONS = {timeframe: timedelta(minutes=minutes) for timeframe, minutes in _MINUTES.items()}


class InstrumentKind(StrEnum):
    INDEX = "INDEX"
    EQUITY = "EQUITY"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    SPOT = "SPOT"


class Right(StrEnum):
    CALL = "CE"
    PUT = "PE"


class Segment(StrEnum):
    INDIAN = "INDIAN"
    CRYPTO = "CRYPTO"
    FOREX = "FOREX"
    US = "US"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of the instrument master. `lot_size`, `tick_size` and `freeze_quantity` (units) come from the venue's data."""

    id: InstrumentId
    kind: InstrumentKind
    segment: Segment = Segment.INDIAN
    currency: str = "INR"
    tick_size: Decimal = Decimal("0.05")
    lot_size: Decimal = Decimal(1)
    freeze_quantity: Decimal | None = None
    min_notional: Decimal = Decimal(0)
    underlying: InstrumentId | None = None
    expiry: date | None = None
    strike: float | None = None
    right: Right | None = None

    def __post_init__(self) -> None:
        if not (self.tick_size > 0 and self.lot_size > 0):
            raise InvalidMarketData("tick_size/lot_size", (self.tick_size, self.lot_size), f"must be positive for {self.id}")
        if self.kind is InstrumentKind.OPTION and not (self.strike and self.right and self.expiry and self.underlying):
            raise InvalidMarketData("instrument", self.id, "an option needs underlying, expiry, strike and right")


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """One trade or index print. `ts` is the venue's time; `volume` the units traded since the previous tick (None: not reported)."""

    instrument: InstrumentId
    ts: datetime
    price: float
    volume: float | None = None
    bid: float | None = None
    ask: float | None = None

    def __post_init__(self) -> None:
        price = self.price
        if not 0.0 < price < _INFINITY:  # also false for NaN
            raise InvalidMarketData("price", price, f"must be a positive finite number in a tick of {self.instrument} at {self.ts}")
        if self.bid is not None and not 0.0 < self.bid < _INFINITY:
            raise InvalidMarketData("bid", self.bid, f"must be positive and finite, or absent, in a tick of {self.instrument}")
        if self.ask is not None and not 0.0 < self.ask < _INFINITY:
            raise InvalidMarketData("ask", self.ask, f"must be positive and finite, or absent, in a tick of {self.instrument}")
        if self.volume is not None and not 0.0 <= self.volume < _INFINITY:
            raise InvalidMarketData("volume", self.volume, f"must not be negative, in a tick of {self.instrument}")
        if self.ts.tzinfo is None:
            raise InvalidMarketData("ts", self.ts, f"needs a time zone, in a tick of {self.instrument}")


_INFINITY = float("inf")


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Newest state of one instrument, as the `prices` channel carries it. A side the venue does not show is None."""

    instrument: InstrumentId
    price: float
    bid: float | None = None
    ask: float | None = None


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """One conflated batch of quotes at venue time `ts`. `seq` grows by one; a gap means: read the snapshot.

    `signals_id` is the stream id of the newest signal sent before this batch: signals come before the prices that follow
    them. `barrier`, in lockstep replay, asks every participant to report once it has followed this far. `feed_up` says
    whether there is market data at all, `silent` which of the instruments that strategies run on have none.
    """

    seq: int
    ts: datetime
    quotes: tuple[Quote, ...] = ()
    signals_id: str = "0"
    barrier: int | None = None
    feed_up: bool = True
    silent: tuple[InstrumentId, ...] = ()


class Candle(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A closed candle. A candle still being built is never a `Candle`.

    Prices are in the instrument's quote currency; `volume` in units traded (None where the venue reports none, as on an
    index); `opened_at` is aware and aligned to `timeframe` (for intraday Indian frames: to the session's 09:15 open).
    """

    instrument: InstrumentId
    timeframe: Timeframe
    opened_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None

    def __post_init__(self) -> None:
        if not (0.0 < self.low <= self.open <= self.high < _INFINITY and self.low <= self.close <= self.high):
            prices = (self.open, self.high, self.low, self.close)
            raise InvalidMarketData(
                "open/high/low/close", prices, f"prices out of order or not positive in {self.instrument} {self.opened_at}"
            )
        if self.volume is not None and not 0.0 <= self.volume < _INFINITY:
            raise InvalidMarketData("volume", self.volume, f"must not be negative in {self.instrument} {self.opened_at}")
        if self.opened_at.tzinfo is None:
            raise InvalidMarketData("opened_at", self.opened_at, f"needs a time zone in a candle of {self.instrument}")

    @property
    def closed_at(self) -> datetime:
        """By the length of the frame. One that the session's close cuts short (the last hour, a day) ends with the session instead."""
        return self.opened_at + self.timeframe.duration


class OptionQuote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One side (call or put) of one strike. None where the venue shows nothing; `iv` is a fraction (0.18), a year's volatility."""

    instrument: Instrument
    price: float | None = None
    bid: float | None = None
    ask: float | None = None
    open_interest: float | None = None
    volume: float | None = None
    iv: float | None = None

    def __post_init__(self) -> None:
        sound = (
            (self.price is None or 0.0 <= self.price < _INFINITY)  # also false for NaN
            and (self.bid is None or 0.0 <= self.bid < _INFINITY)
            and (self.ask is None or 0.0 <= self.ask < _INFINITY)
            and (self.open_interest is None or 0.0 <= self.open_interest < _INFINITY)
            and (self.volume is None or 0.0 <= self.volume < _INFINITY)
            and (self.iv is None or 0.0 <= self.iv < _INFINITY)
        )
        if not sound:
            values = {name: getattr(self, name) for name in ("price", "bid", "ask", "open_interest", "volume", "iv")}
            name, value = next((name, value) for name, value in values.items() if value is not None and not 0.0 <= value < _INFINITY)
            raise InvalidMarketData(name, value, f"must be finite and not negative for {self.instrument.id}")


class ChainRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Both sides of one strike; a side that is not listed is None."""

    strike: float
    call: OptionQuote | None
    put: OptionQuote | None


class OptionChain(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """Snapshot of one expiry's chain, strikes ascending and unique (checked), taken at venue time `taken_at`."""

    underlying: InstrumentId
    expiry: date
    taken_at: datetime
    spot: float
    rows: tuple[ChainRow, ...]

    def __post_init__(self) -> None:
        if not 0.0 < self.spot < _INFINITY:
            raise InvalidMarketData("spot", self.spot, f"must be positive and finite in the chain of {self.underlying}")
        if not self.rows:
            raise InvalidMarketData("rows", (), f"the chain of {self.underlying} at {self.taken_at} lists no strike")
        strikes = [row.strike for row in self.rows]
        if any(later <= earlier for earlier, later in pairwise(strikes)):
            raise InvalidMarketData("strike", strikes[:8], f"strikes of {self.underlying} must ascend without repeats: is the chain torn?")
        if self.taken_at.tzinfo is None:
            raise InvalidMarketData("taken_at", self.taken_at, "needs a time zone")


class FeedClock(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The venue's clock reached `ts`; every tick before it has been delivered or is late."""

    ts: datetime


class FeedGap(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The feed missed what happened between the two times; candles there must be filled from history."""

    start: datetime
    end: datetime
    reason: str


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The feed as a whole went down or came back."""

    ts: datetime
    up: bool
    reason: str = ""


FeedEvent: TypeAlias = Tick | FeedClock | FeedGap | FeedStatus
