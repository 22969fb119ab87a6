"""The `data` of each command, as people write it. Field names, meanings and defaults are those of `runtime.session`.

Numbers that are money or quantities may be sent as JSON numbers or, exactly, as decimal strings.
"""

from __future__ import annotations

from datetime import time, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from runtime.market import Timeframe
from runtime.session import (
    ExitMode,
    ExternalPositions,
    LevelUnit,
    Mode,
    OnBreach,
    Protection,
    RiskLimits,
    SessionConfig,
    Sizing,
    SizingMethod,
    Subscription,
)
from runtime.strategy import ParameterValue

_SESSION, _SUBSCRIPTION, _SIZING, _PROTECTION, _RISK = SessionConfig(), Subscription(), Sizing(), Protection(), RiskLimits()

Money: TypeAlias = Annotated[Decimal, Field(gt=0, le=10**12, max_digits=21, decimal_places=8)]
Quantity: TypeAlias = Annotated[Decimal, Field(gt=0, le=10**9, max_digits=19, decimal_places=9)]
Fraction: TypeAlias = Annotated[Decimal, Field(gt=0, le=1, max_digits=9, decimal_places=8)]
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
InstrumentName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9:/_.&-]{0,63}$")]
Reference: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}$")]
FeeName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^(indian_options|none|flat:0(\.[0-9]{1,8})?)$")]


def _naive(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError("give exchange-local clock time without a zone, such as 15:15")
    return value


def _from_minutes(value: object) -> object:
    """Minutes as sent (int or float, not bool) become a timedelta."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10_080:
        raise ValueError("give minutes, a number between 0 and 10080 (a week)")
    return timedelta(minutes=value)


def _from_seconds(value: object) -> object:
    """Seconds as sent (int or float, not bool) become a timedelta."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise ValueError("give seconds, a number above 0 and at most 3600")
    return timedelta(seconds=value)


def _parameter(value: object) -> object:
    """One check instead of a union's five error messages."""
    match value:
        case bool():
            return value
        case int() | float() if abs(value) <= 2**53:  # also false for NaN
            return value
        case str() if len(value) <= 1000:
            return value
        case list() if len(value) <= 100 and all(isinstance(item, str) and len(item) <= 100 for item in value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return value  # pyright: ignore[reportUnknownVariableType]
        case _:
            raise ValueError("give a number, true or false, a text, or a list of texts")


ClockTime: TypeAlias = Annotated[time, AfterValidator(_naive)]
Minutes: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_from_minutes),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10_080}),
]
Seconds: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_from_seconds),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 3600}),
]
Parameters: TypeAlias = Annotated[dict[Name, Annotated[ParameterValue, BeforeValidator(_parameter)]], Field(max_length=64)]


class Data(BaseModel):
    """Unknown fields are refused, texts are not numbers, and nothing sent is ever repeated in an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class NoData(Data):
    """For actions that take none."""


class LevelData(Data):
    """A stop, target or trail distance. PERCENT is of the entry price: 20 means 20 %."""

    value: Money
    unit: LevelUnit = LevelUnit.PERCENT


class SizingData(Data):
    method: SizingMethod = _SIZING.method
    """`fixed`: the quantity below. `fixed_risk`: the stop costs the risk, whatever the leverage. `leveraged_risk`: it costs leverage times the risk. `volatility_target`: a move of `atr_multiple` average true ranges costs the risk."""
    quantity: Quantity | None = _SIZING.quantity
    """Units to trade; needed by `fixed`."""
    risk_per_trade: Fraction = _SIZING.risk_per_trade
    """Fraction of the capital that one losing trade may cost; used by all but `fixed`."""
    leverage: Annotated[Decimal, Field(gt=0, le=100, max_digits=6, decimal_places=3)] = _SIZING.leverage
    """Bounds the notional of all but `fixed`, as a multiple of the capital."""
    atr_multiple: Annotated[Decimal, Field(gt=0, le=100, max_digits=6, decimal_places=3)] = _SIZING.atr_multiple
    """Average true ranges whose loss is the risk; used by `volatility_target`."""


class ProtectionData(Data):
    exit_mode: ExitMode = _PROTECTION.exit_mode
    """SIGNAL_ONLY leaves exits to the strategy, the clock and the risk limits; SLTP adds stop, target and trail."""
    stop: LevelData | None = None
    """null: the signal's own stop."""
    target: LevelData | None = None
    """null: the signal's own target."""
    trail: LevelData | None = None
    """Distance at which a stop follows the best price."""
    square_off: ClockTime | None = _PROTECTION.square_off
    """Exchange-local time at which the position is closed."""
    max_hold: Minutes | None = Field(default=_PROTECTION.max_hold, alias="max_hold_minutes")
    max_trades_per_day: Annotated[int, Field(ge=1, le=10_000)] | None = _PROTECTION.max_trades_per_day
    """Entries of this subscription."""
    min_days_to_expiry: Annotated[int, Field(ge=0, le=365)] | None = _PROTECTION.min_days_to_expiry
    """Calendar days before a contract's expiry at which it is left, at the square-off time, and not entered any more; 0 is the expiry date, null leaves it to the other exits."""
    at_broker: bool = _PROTECTION.at_broker
    """Places stop and target as waiting orders at the venue too, one cancelling the other, where it takes such orders."""


class FlatSubscriptionData(Data):
    """A subscription as it may be written straight into START_TRADING's data."""

    strategy: Name = _SUBSCRIPTION.strategy
    parameters: Parameters = Field(default=_SUBSCRIPTION.parameters, validation_alias=AliasChoices("parameters", "params"))
    """The strategy's own parameters; `params` is accepted too."""
    instrument: InstrumentName = _SUBSCRIPTION.instrument
    timeframe: Timeframe = _SUBSCRIPTION.timeframe
    sizing: SizingData = SizingData()
    protection: ProtectionData = ProtectionData()
    cooldown: Minutes = Field(default=_SUBSCRIPTION.cooldown, alias="cooldown_minutes", json_schema_extra={"default": 0})
    """Least time between two entries of this user here, besides the strategy's own trade lock."""


class SubscriptionData(FlatSubscriptionData):
    mode: Mode | None = _SUBSCRIPTION.mode
    """Where its entries go; null: where the session's go. `live` needs what a live session needs."""
    paused: bool = _SUBSCRIPTION.paused
    """Takes no entries until it is resumed; exits go on."""


class RiskData(Data):
    """null means no limit, where null is allowed."""

    max_daily_loss: Money | None = _RISK.max_daily_loss
    """Account currency, realised plus open."""
    max_open_positions: Annotated[int, Field(ge=1, le=1000)] | None = _RISK.max_open_positions
    max_orders_per_second: Annotated[int, Field(ge=1, le=100)] = _RISK.max_orders_per_second
    max_orders_per_day: Annotated[int, Field(ge=1, le=100_000)] = _RISK.max_orders_per_day
    """Slices, modifies and cancels count too."""
    max_notional: Money | None = _RISK.max_notional
    """Of all positions and working entries together, at entry prices."""
    max_portfolio_heat: Fraction | None = _RISK.max_portfolio_heat
    """Fraction of the capital that is lost if all stops are hit; a position without a stop counts whole."""
    price_collar_percent: Annotated[Decimal, Field(gt=0, le=100, max_digits=9, decimal_places=6)] | None = _RISK.price_collar_percent
    """Largest distance of an entry's price from the last trade, in percent."""
    duplicate_window: Seconds | None = Field(default=_RISK.duplicate_window, alias="duplicate_window_seconds")
    """No entry on an instrument and side that another subscription of this user entered less than this long ago."""
    on_breach: OnBreach = _RISK.on_breach
    """What happens to open positions when the daily loss limit is reached."""
    external_positions: ExternalPositions = _RISK.external_positions
    """A position opened by another door, such as the broker's own app: `leave` tells of it, `protect` also gives it a stop."""
    external_stop: LevelData = LevelData(value=_RISK.external_stop.value, unit=_RISK.external_stop.unit)
    """Distance of that stop."""
    on_silence: OnBreach = _RISK.on_silence
    """What happens to a subscription's position when its instrument falls silent in its session: `keep` leaves it to its own exits."""


class StartData(FlatSubscriptionData):
    """Everything has a default. One subscription may be written flat (`strategy`, `parameters`, `instrument`, …), several as `subscriptions`."""

    mode: Mode = _SESSION.mode
    """`live` needs a live broker, its credentials, `live_confirmed`, and limits in `risk`."""
    live_confirmed: bool = _SESSION.live_confirmed
    """Must be true in a session that sends real orders."""
    broker: Name = _SESSION.broker
    credentials: Reference | None = _SESSION.credentials
    """Reference to one of this user's entries in the vault."""
    access_token: SecretStr | None = Field(default=None, min_length=1, max_length=8192)
    """The broker's token itself: goes into the vault at once, never into a log, event or document."""
    capital: Money = _SESSION.capital
    """What sizes are computed from."""
    fees: FeeName = _SESSION.fees
    """`indian_options`, `none`, or `flat:RATE` with the rate as a fraction of the notional."""
    slippage_percent: Annotated[Decimal, Field(ge=0, le=10, max_digits=9, decimal_places=6)] = _SESSION.slippage_percent
    """Paper fills without a quoted bid and ask: against the trader, in percent of the price."""
    subscriptions: Annotated[tuple[SubscriptionData, ...], Field(min_length=1, max_length=64)] | None = None
    """Instead of the flat fields."""
    risk: RiskData = RiskData()
    placement: Literal["dedicated", "packed"] | None = None
    """null leaves it to the platform."""

    @property
    def flat_fields(self) -> frozenset[str]:
        """The fields of the one flat subscription that were sent."""
        return frozenset(self.model_fields_set & FlatSubscriptionData.model_fields.keys())

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> StartData:
        if self.subscriptions is not None and self.flat_fields:
            raise ValueError(f"send either `subscriptions` or the flat {', '.join(sorted(self.flat_fields))}, not both")
        if self.credentials is not None and self.access_token is not None:
            raise ValueError("send either `credentials` or `access_token`, not both")
        return self


class UpdateData(StartData):
    """Any subset of START_TRADING's data. Objects merge field by field into the running configuration, lists and scalars replace."""


class StopData(Data):
    positions: OnBreach = OnBreach.KEEP
    """`keep` leaves positions open under their protective stops, `close` flattens them."""


class HaltData(Data):
    positions: OnBreach = OnBreach.KEEP
    """`close` also flattens every position."""
    reason: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")] = "halted by an operator"
