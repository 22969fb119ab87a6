"""What a simulated venue is asked to be: all of it data, so that a profile or a test can write it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import pairwise
from math import isfinite
from typing import TypeAlias, TypeVar

import msgspec

from runtime.calendar import SessionTimes
from runtime.errors import InvalidConfig
from runtime.market import Candle, InstrumentId, Segment

BANKNIFTY: InstrumentId = "NSE:BANKNIFTY"


class SpecialEvent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`on` limits it to one session; None means every session."""

    on: date | None = None

    def holds_on(self, day: date) -> bool:
        return self.on is None or self.on == day


class WindowEvent(SpecialEvent, frozen=True, kw_only=True, tag=True):
    """From the exchange-local `start` for `minutes`."""

    start: time
    minutes: int


class RateEvent(SpecialEvent, frozen=True, kw_only=True, tag=True):
    """Strikes each tick with the probability `rate`."""

    rate: float


class OpeningGap(SpecialEvent, frozen=True, kw_only=True, tag=True):
    """The session opens `percent` away from the close before, besides the usual overnight move. Generated days only."""

    percent: float


class Halt(WindowEvent, frozen=True, kw_only=True, tag=True):
    """The exchange does not trade: no tick exists, and the price afterwards is where the path has gone meanwhile."""


class FeedSilence(WindowEvent, frozen=True, kw_only=True, tag=True):
    """The exchange trades but the feed delivers nothing, not even its clock; afterwards it reports the gap.

    An `announced` silence is a lost connection the feed knows of: it says so when it begins and when it ends.
    """

    announced: bool = False


class DuplicateTicks(RateEvent, frozen=True, kw_only=True, tag=True):
    """A tick is delivered twice."""


class LateTicks(RateEvent, frozen=True, kw_only=True, tag=True):
    """A tick is delivered `seconds` after its time."""

    seconds: int = 5


class OutOfOrderTicks(RateEvent, frozen=True, kw_only=True, tag=True):
    """A tick is delivered just after its successor."""


class ChainError(WindowEvent, frozen=True, kw_only=True, tag=True):
    """The option chain request is not answered."""


class TornChain(WindowEvent, frozen=True, kw_only=True, tag=True):
    """The option chain is a mixture of two answers: strikes repeat."""


class FrozenChain(WindowEvent, frozen=True, kw_only=True, tag=True):
    """The option chain stays as it was at the start of the window, time stamp included."""


Special: TypeAlias = OpeningGap | Halt | FeedSilence | DuplicateTicks | LateTicks | OutOfOrderTicks | ChainError | TornChain | FrozenChain
_SECONDS_PER_TICK = (1, 2, 3, 4, 5, 6, 10, 12, 15)
"""Whole ticks to the minute, and four of them at least: any candle can be made of four."""

_SpecialT = TypeVar("_SpecialT", bound=SpecialEvent)


class ContractTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Of contracts that expire on or after `first_expiry`, in units of the underlying."""

    first_expiry: date
    lot_size: int
    freeze_quantity: int


BANKNIFTY_TERMS = (
    ContractTerms(first_expiry=date.min, lot_size=15, freeze_quantity=900),
    ContractTerms(first_expiry=date(2025, 2, 1), lot_size=30, freeze_quantity=600),
    ContractTerms(first_expiry=date(2025, 7, 1), lot_size=35, freeze_quantity=595),
    ContractTerms(first_expiry=date(2026, 1, 1), lot_size=30, freeze_quantity=600),
)
"""As the exchange's bhavcopy (lots, 2025-01 to 2026-02) and a broker's instrument file (freeze quantities, 2025-12) list them:
a change of the lot size reaches new contracts first, so the expiry decides, not the trading day."""


class SpotTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Of an underlying that is traded itself, all day and every day, without futures and options."""

    segment: Segment = Segment.CRYPTO
    currency: str = "USDT"
    lot_size: Decimal = Decimal("0.001")
    min_notional: Decimal = Decimal(10)
    daily_lots: int = 20_000_000
    """Traded on an average day."""


class SimulationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One underlying of a venue: an index with its futures and options or, with `spot` terms, something traded itself in UTC days.

    `annual_volatility` and `rate` are fractions per year. Ticks per second are of each subscribed instrument: of the index,
    and of contracts (options `option_ticks_per_second`, the future one); where that is one, `seconds_per_tick` can make all of
    them tick more seldom. `special_sessions` are the dates whose session is not 09:15–15:30 IST on weekdays (no part at all:
    a holiday). `candles` are recorded 1-minute candles of the index: on those dates the ticks are built so that exactly these
    candles come out of them; other dates are generated. `start_price` is the first session's open unless recorded candles say
    otherwise.

    Raises:
        InvalidConfig: a value outside what is allowed.
    """

    underlying: InstrumentId = BANKNIFTY
    sessions: tuple[date, ...] = (date(2026, 11, 20),)
    seed: int = 7
    start_price: float = 52000.0
    annual_volatility: float = 0.16
    rate: float = 0.065
    ticks_per_second: int = 2
    option_ticks_per_second: int = 1
    seconds_per_tick: int = 1
    strike_step: int = 100
    strikes_each_side: int = 30
    special: tuple[Special, ...] = ()
    special_sessions: Mapping[date, tuple[SessionTimes, ...]] = {}
    candles: Mapping[date, Sequence[Candle]] = {}
    contract_terms: tuple[ContractTerms, ...] = BANKNIFTY_TERMS
    spot: SpotTerms | None = None

    def __post_init__(self) -> None:
        _require(bool(self.sessions), "sessions", self.sessions, "name at least one date")
        _require(all(a < b for a, b in pairwise(self.sessions)), "sessions", self.sessions, "dates must ascend without repeats")
        _require(self.seed >= 0, "seed", self.seed, "must not be negative")
        _require(isfinite(self.start_price) and self.start_price > 0, "start_price", self.start_price, "must be positive")
        _require(0 < self.annual_volatility <= 3, "annual_volatility", self.annual_volatility, "a fraction above 0, at most 3")
        _require(0 <= self.rate <= 1, "rate", self.rate, "a fraction from 0 to 1")
        _require(1 <= self.ticks_per_second <= 20, "ticks_per_second", self.ticks_per_second, "1 to 20")
        divides = self.option_ticks_per_second > 0 and self.ticks_per_second % self.option_ticks_per_second == 0
        _require(divides, "option_ticks_per_second", self.option_ticks_per_second, "must divide ticks_per_second")
        _require(self.seconds_per_tick in _SECONDS_PER_TICK, "seconds_per_tick", self.seconds_per_tick, f"one of {_SECONDS_PER_TICK}")
        fits = self.seconds_per_tick == 1 or self.ticks_per_second == 1
        _require(fits, "seconds_per_tick", self.seconds_per_tick, "needs ticks_per_second 1")
        _require(self.strike_step > 0, "strike_step", self.strike_step, "must be positive")
        _require(1 <= self.strikes_each_side <= 200, "strikes_each_side", self.strikes_each_side, "1 to 200")
        _require(bool(self.contract_terms), "contract_terms", (), "give at least one row")
        for event in self.special:
            if isinstance(event, RateEvent):
                _require(0 <= event.rate <= 1, "special.rate", event.rate, "a probability from 0 to 1")
            if isinstance(event, WindowEvent):
                _require(event.minutes > 0, "special.minutes", event.minutes, "must be positive")

    def specials(self, kind: type[_SpecialT], day: date) -> list[_SpecialT]:
        """The special events of one kind that hold on `day`."""
        return [event for event in self.special if isinstance(event, kind) and event.holds_on(day)]


def _require(holds: bool, field: str, value: object, fix: str) -> None:
    if not holds:
        raise InvalidConfig(field, value, fix)
