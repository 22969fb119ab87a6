"""From what a user sent to what the engine holds: merge over a configuration, then check it against what exists here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias, cast

import msgspec

from runtime.commands.data import FlatSubscriptionData, StartData, SubscriptionData
from runtime.commands.errors import InvalidCommand, RejectReason
from runtime.commands.messages import StartTrading, UpdateConfig
from runtime.errors import InvalidConfig
from runtime.market import InstrumentId, Timeframe
from runtime.session import Mode, SessionConfig, SizingMethod, Subscription
from runtime.signals import EXTERNAL
from runtime.strategy import ParameterValue

CreateStrategy: TypeAlias = Callable[[str, Mapping[str, ParameterValue]], object]
"""Builds a strategy, or raises `InvalidConfig` naming the parameter that is wrong."""

PAPER = "paper"
_INSTRUMENTS_NAMED = 12


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What this installation knows. `brokers` besides `paper` are those with a live adapter; `instruments` are those that strategies
    may run on (None: whatever the venue will list).
    """

    strategies: frozenset[str]
    create_strategy: CreateStrategy
    brokers: frozenset[str] = frozenset({PAPER})
    instruments: frozenset[InstrumentId] | None = None
    native_stops: frozenset[str] = frozenset({PAPER})
    """Those of the brokers that take stop and limit orders that wait."""


def session_config(
    command: StartTrading | UpdateConfig, current: SessionConfig | None, catalogue: Catalogue, *, credentials: str | None = None
) -> SessionConfig:
    """The configuration the session shall have: START states it whole (defaults filled in), UPDATE_CONFIG merges over `current`.

    `credentials` is the vault reference under which the caller has put the command's `access_token`.

    Raises:
        InvalidCommand: not running (an update without `current`), or something is unknown here or does not fit together.
    """

    def refuse(field: str, detail: str, reason: RejectReason = RejectReason.INVALID) -> InvalidCommand:
        return InvalidCommand(field, detail, reason=reason, action=command.action, user_id=command.user_id, command_id=command.command_id)

    if isinstance(command, UpdateConfig) and current is None:
        raise refuse("user_id", "no session of this user is running; send START_TRADING first", RejectReason.NOT_RUNNING)
    base = current if isinstance(command, UpdateConfig) and current is not None else SessionConfig()
    try:
        config = merge(base, command.data, credentials=credentials)
        _check(config, catalogue)
    except _Refused as refused:
        raise refuse(f"data.{_as_sent(refused.field, command.data)}", refused.fix, refused.reason) from None
    return msgspec.structs.replace(config, native_stops=config.broker in catalogue.native_stops)


def merge(current: SessionConfig, data: StartData, *, credentials: str | None = None) -> SessionConfig:
    """`current` with what `data` sent laid over it: objects field by field, lists and scalars whole.

    Flat subscription fields change the one subscription there is. A new strategy does not inherit the old one's parameters.

    Raises:
        InvalidConfig: flat fields, but the session has several subscriptions.
    """
    sent = data.model_dump(exclude_unset=True, exclude={"access_token"})
    base = _builtins(current)
    flat = {name: sent.pop(name) for name in FlatSubscriptionData.model_fields if name in sent}
    if flat:
        if len(base["subscriptions"]) != 1:
            raise _Refused(
                "subscriptions", f"the session has {len(base['subscriptions'])} of them: send the whole list instead of flat fields"
            )
        subscription: dict[str, Any] = base["subscriptions"][0]
        if flat.get("strategy", subscription["strategy"]) != subscription["strategy"]:
            subscription["parameters"] = {}
        base["subscriptions"] = [_overlay(subscription, flat)]
    if sent.get("subscriptions", ()) is None:
        del sent["subscriptions"]
    if credentials is not None:
        sent["credentials"] = credentials
    return msgspec.convert(_overlay(base, sent), SessionConfig)


def session_subscription(
    data: SubscriptionData, current: SessionConfig, catalogue: Catalogue, *, action: str, user_id: str, command_id: str
) -> Subscription:
    """The subscription that SUBSCRIBE asks for; what it leaves out has its default, also when the session has this key already.

    Raises:
        InvalidCommand: it names something that is unknown here, or wants an account the session does not have.
    """
    sent = data.model_dump(exclude_unset=True)
    subscription = msgspec.convert(_overlay(_builtins(Subscription()), sent), Subscription)
    try:
        _check_account(current, [subscription], catalogue)
        _check_subscription("", subscription, catalogue)
    except _Refused as refused:
        raise InvalidCommand(
            f"data.{refused.field}", refused.fix, reason=refused.reason, action=action, user_id=user_id, command_id=command_id
        ) from None
    return subscription


def _builtins(config: SessionConfig | Subscription) -> dict[str, Any]:
    return msgspec.to_builtins(config, builtin_types=(Decimal, time, timedelta))


class _Refused(InvalidConfig):
    def __init__(self, field: str, fix: str, reason: RejectReason = RejectReason.INVALID) -> None:
        super().__init__(field, "as sent", fix)
        self.reason = reason


def _overlay(base: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in sent.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, dict) and name not in _WHOLE:
            merged[name] = _overlay(cast("dict[str, Any]", old), cast("dict[str, Any]", value))
        else:
            merged[name] = value
    return merged


_WHOLE = frozenset({"stop", "target", "trail"})
"""A level is a value with its unit: half of one makes no sense."""


def _check(config: SessionConfig, catalogue: Catalogue) -> None:
    if config.broker not in catalogue.brokers:
        raise _Refused("broker", f"not configured here; known: {', '.join(sorted(catalogue.brokers))}", RejectReason.UNKNOWN_BROKER)
    _check_account(config, config.subscriptions, catalogue)
    for index, subscription in enumerate(config.subscriptions):
        _check_subscription(f"subscriptions.{index}.", subscription, catalogue)
    keys = [subscription.key for subscription in config.subscriptions]
    if len(set(keys)) != len(keys):
        raise _Refused("subscriptions", "two of them are the same strategy with the same parameters on the same instrument and timeframe")


def _check_account(config: SessionConfig, subscriptions: Iterable[Subscription], catalogue: Catalogue) -> None:
    """Whoever sends one live order needs a live broker and its credentials."""
    if Mode.LIVE not in {config.mode, *(config.mode_of(subscription) for subscription in subscriptions)}:
        return
    if config.broker == PAPER:
        live = sorted(catalogue.brokers - {PAPER})
        known = f"name one in `broker`: {', '.join(live)}" if live else "none is configured here, so only mode `paper` is available"
        raise _Refused("mode", f"is live, which needs another broker than `paper`: {known}", RejectReason.LIVE_UNAVAILABLE)
    if config.credentials is None:
        raise _Refused("credentials", "is not set: live needs `credentials` (a name in the vault) or an `access_token`")
    if not config.live_confirmed:
        raise _Refused("live_confirmed", "is false: live sends real orders, say `live_confirmed: true` if that is what you want")
    missing = next((name for name in _LIVE_LIMITS if getattr(config.risk, name) is None), None)
    if missing is not None:
        raise _Refused(f"risk.{missing}", f"is null: live needs a limit in each of {', '.join(_LIVE_LIMITS)}")


_LIVE_LIMITS = ("max_daily_loss", "max_open_positions", "max_notional")


def _check_subscription(path: str, subscription: Subscription, catalogue: Catalogue) -> None:
    if subscription.strategy not in catalogue.strategies:
        known = ", ".join(sorted(catalogue.strategies))
        raise _Refused(f"{path}strategy", f"unknown; known: {known}", RejectReason.UNKNOWN_STRATEGY)
    is_external = subscription.strategy == EXTERNAL  # its signals come without candles
    if is_external and subscription.timeframe is not Timeframe.M1:
        raise _Refused(f"{path}timeframe", "signals of other programs have none: leave it out")
    if is_external and subscription.sizes_by_range:
        raise _Refused(f"{path}sizing.method", "volatility_target needs candles, which signals of other programs lack: use another method")
    if not is_external and catalogue.instruments is not None and subscription.instrument not in catalogue.instruments:
        served = ", ".join(sorted(catalogue.instruments)[:_INSTRUMENTS_NAMED])
        more = len(catalogue.instruments) - _INSTRUMENTS_NAMED
        detail = f"no candles of it are served here; served are {served}{f' and {more} more' if more > 0 else ''}"
        raise _Refused(f"{path}instrument", detail, RejectReason.UNKNOWN_INSTRUMENT)
    try:
        catalogue.create_strategy(subscription.strategy, subscription.parameters)
    except InvalidConfig as error:
        name = error.field.removeprefix(f"{subscription.strategy}.")
        raise _Refused(f"{path}parameters.{name}", error.fix) from None
    if subscription.sizing.method is SizingMethod.FIXED and subscription.sizing.quantity is None:
        raise _Refused(f"{path}sizing.quantity", "method `fixed` needs a quantity")


def _as_sent(field: str, data: StartData) -> str:
    """Who wrote one subscription flat is told `strategy`, not `subscriptions.0.strategy`."""
    return field if data.subscriptions is not None else field.removeprefix("subscriptions.0.")
