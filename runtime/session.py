"""A user's settings as the engine holds them. Outside programs write them through `runtime.commands`, which validates."""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

import msgspec

from runtime.market import InstrumentId, Timeframe
from runtime.strategy import ParameterValue, strategy_key


class Mode(StrEnum):
    PAPER = "paper"
    LIVE = "live"


class SizingMethod(StrEnum):
    """What each computes is told by `sizing.position_size`."""

    FIXED = "fixed"
    FIXED_RISK = "fixed_risk"
    LEVERAGED_RISK = "leveraged_risk"
    VOLATILITY_TARGET = "volatility_target"


class LevelUnit(StrEnum):
    """How a stop or target distance is written. PERCENT is of the entry price: 20 means 20 %."""

    POINTS = "POINTS"
    PERCENT = "PERCENT"
    ABSOLUTE = "ABSOLUTE"


class ExitMode(StrEnum):
    """SIGNAL_ONLY leaves exits to the strategy (and to clock and risk); SLTP adds stop, target and trail."""

    SIGNAL_ONLY = "SIGNAL_ONLY"
    SLTP = "SLTP"


class OnBreach(StrEnum):
    CLOSE = "close"
    KEEP = "keep"


class ExternalPositions(StrEnum):
    """What becomes of a position that was opened by another door: told and left to the user, or given a stop as well."""

    LEAVE = "leave"
    PROTECT = "protect"


class Level(msgspec.Struct, frozen=True, kw_only=True):
    value: Decimal
    unit: LevelUnit = LevelUnit.PERCENT


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` (units) serves `fixed`; `risk_per_trade` (fraction of capital) and `leverage` the others, `atr_multiple` `volatility_target`."""

    method: SizingMethod = SizingMethod.FIXED_RISK
    quantity: Decimal | None = None
    risk_per_trade: Decimal = Decimal("0.01")
    leverage: Decimal = Decimal(1)
    atr_multiple: Decimal = Decimal(2)


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """Exits of a position. A level left None is taken from the signal; `trail` follows the best price at that distance.

    `square_off` is exchange-local clock time; `max_hold` a duration; `max_trades_per_day` counts entries.
    `min_days_to_expiry` (calendar days; 0 is the expiry date): a contract is left at the square-off time of the last day
    that keeps it, and not entered later. `at_broker` places stop and target with the venue as well, where it takes them.
    """

    exit_mode: ExitMode = ExitMode.SLTP
    stop: Level | None = None
    target: Level | None = None
    trail: Level | None = None
    square_off: time | None = time(15, 15)
    max_hold: timedelta | None = None
    max_trades_per_day: int | None = None
    min_days_to_expiry: int | None = None
    at_broker: bool = False


class Subscription(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    strategy: str = "index_options_scalper"
    parameters: dict[str, ParameterValue] = {}
    instrument: InstrumentId = "NSE:BANKNIFTY"
    timeframe: Timeframe = Timeframe.M1
    sizing: Sizing = Sizing()
    protection: Protection = Protection()
    cooldown: timedelta = timedelta(0)
    """Least time between two entries of this user here, besides the strategy's own trade lock."""
    mode: Mode | None = None
    """Where this subscription's entries go; None: where the session's go."""
    paused: bool = False
    """Takes no entries; the exits of what it holds go on."""

    @property
    def sizes_by_range(self) -> bool:
        """Whether its sizes need the average true range of what is traded."""
        return self.sizing.method is SizingMethod.VOLATILITY_TARGET

    @cached_property
    def key(self) -> str:
        return strategy_key(self.strategy, self.parameters, self.instrument, self.timeframe)


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """None means no limit. `max_daily_loss` in account currency, realised plus open; order counts include modifies and cancels.

    `max_notional` bounds all positions and working entries together at entry prices; `max_portfolio_heat` (fraction of the
    capital) the sum of their losses at their stops, where a position without a stop counts whole. `price_collar_percent`
    is the largest distance of an entry's price from the last trade known. `duplicate_window` refuses an entry on the same
    instrument and side within this time of another subscription's.
    """

    max_daily_loss: Decimal | None = Decimal(25000)
    max_open_positions: int | None = 5
    max_orders_per_second: int = 8
    max_orders_per_day: int = 200
    max_notional: Decimal | None = None
    max_portfolio_heat: Decimal | None = None
    price_collar_percent: Decimal | None = Decimal(20)
    duplicate_window: timedelta | None = None
    on_breach: OnBreach = OnBreach.CLOSE
    external_positions: ExternalPositions = ExternalPositions.LEAVE
    external_stop: Level = Level(value=Decimal(20))
    on_silence: OnBreach = OnBreach.KEEP


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a trader needs to know of its user. Holds no secret: `credentials` is a reference into the vault."""

    mode: Mode = Mode.PAPER
    live_confirmed: bool = False
    """The user has said in so many words that real orders are wanted."""
    broker: str = "paper"
    credentials: str | None = None
    capital: Decimal = Decimal(500000)
    fees: str = "indian_options"
    slippage_percent: Decimal = Decimal(0)
    subscriptions: tuple[Subscription, ...] = (Subscription(),)
    risk: RiskLimits = RiskLimits()
    native_stops: bool = True
    """Whether `broker` takes stop and limit orders that wait; the paper exchange always does."""
    placement: str | None = None
    """`dedicated`, `packed`, or None for the platform's choice."""

    def mode_of(self, subscription: Subscription) -> Mode:
        return self.mode if subscription.mode is None else subscription.mode
