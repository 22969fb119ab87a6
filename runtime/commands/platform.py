"""The `data` of commands that are about more than one user: signals of other programs, the kill switch."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from runtime.commands.data import Data, Fraction, InstrumentName, Money, Name, Parameters
from runtime.halts import HaltScope
from runtime.session import OnBreach
from runtime.signals import Side

SIDES = {
    **dict.fromkeys(("1", "buy", "long"), Side.LONG),
    **dict.fromkeys(("-1", "sell", "short"), Side.SHORT),
    **dict.fromkeys(("0", "flat", "exit"), Side.FLAT),
}
"""What other programs call the side they want to be on."""


def _side(value: object) -> object:
    """1, -1, 0 as number or text, or a word in any case."""
    word = str(int(value)) if isinstance(value, int | float) and not isinstance(value, bool) and value in {1, -1, 0} else value
    side = SIDES.get(word.strip().lower()) if isinstance(word, str) else None
    if side is None:
        raise ValueError(f"must be 1, -1, 0 or one of {', '.join(name for name in SIDES if name.isalpha())}")
    return side


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as 2026-11-20T04:01:00Z")
    return value


SourceName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
SignalSide: TypeAlias = Annotated[
    Side, BeforeValidator(_side), WithJsonSchema({"anyOf": [{"enum": [-1, 0, 1]}, {"type": "string", "pattern": "^ *-?[0-9A-Za-z]+ *$"}]})
]
AwareTime: TypeAlias = Annotated[datetime, AfterValidator(_aware)]


StrategyName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,300}$")]


class HaltTargetData(Data):
    scope: HaltScope
    """`user` and `subscription` are of the message's `user_id`; `strategy` and `subscription` need `strategy`."""
    strategy: StrategyName | None = None
    """A strategy's name, for all its subscriptions, or the key of one of them."""

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        needs = self.scope in {HaltScope.STRATEGY, HaltScope.SUBSCRIPTION}
        if needs != (self.strategy is not None):
            raise ValueError(f"scope `{self.scope}` {'needs a' if needs else 'takes no'} `strategy`")
        return self


class ScopedHaltData(HaltTargetData):
    positions: OnBreach = OnBreach.KEEP
    """`close` also flattens the positions it covers."""
    reason: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")] = "halted by an operator"


HostName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}$")]


class MoveData(Data):
    to: HostName
    """A packed host, such as `packed-1`, or `dedicated` for a process of the user's own."""


class DrainData(Data):
    host: HostName
    """A packed host, such as `packed-1`."""
    undo: bool = False
    """Let users be placed there again."""


class RollbackData(Data):
    """When a roll-out is taken back by itself. null: not looked at. A candidate that fails is always taken back."""

    pnl_worse_by: Money | None = None
    """Realised per user, in account currency, below that of the baseline's followers."""
    min_trades: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Trades of the candidate before its P&L counts."""
    skip_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of its signals that its followers skipped."""
    reject_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of its entry orders that were rejected."""
    min_signals: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Signals heard by its followers before these rates count."""


class RolloutKey(Data):
    strategy: StrategyName
    """Key of the strategy whose followers are concerned: the baseline."""


class CanaryData(RolloutKey):
    candidate: Name | None = None
    """The candidate's strategy; null: the baseline's, with other parameters."""
    parameters: Parameters = Field(default_factory=dict)
    """The candidate's own, whole."""
    share: Fraction = Decimal("0.1")
    """Of the baseline's followers."""
    rollback_if: RollbackData = RollbackData()


class SignalData(Data):
    """What another program wants its followers to hold. Names may be written as `strategyId` or `strategy_id`."""

    strategy_id: SourceName = Field(validation_alias=AliasChoices("strategyId", "strategy_id"))
    """Whose signal it is: the `source` parameter of the `external` subscriptions that follow it."""
    symbol: InstrumentName
    """Instrument of those subscriptions. An index stands for its near-month future."""
    signal: SignalSide
    """Where to be: 1, buy or long; -1, sell or short; 0, flat or exit; in any case, number or text."""
    signal_id: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,128}$")] | None = Field(
        default=None, validation_alias=AliasChoices("signalId", "signal_id")
    )
    """Equal strategy, symbol, signal and id are one signal, for ever; without an id equal content within 60 s is one."""
    price: Money | None = None
    """What the sender saw. Entries are sized on the venue's own quote where there is one."""
    stop: Money | None = None
    """Price of the instrument traded."""
    target: Money | None = None
    """Price of the instrument traded."""
    timestamp: AwareTime | None = None
    """The sender's time, often that of a bar; kept for the record. Age is counted from the signal's arrival."""
