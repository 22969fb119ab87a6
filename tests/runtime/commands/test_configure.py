from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.commands import (
    Catalogue,
    InvalidCommand,
    RejectReason,
    StartTrading,
    SubscriptionData,
    UpdateConfig,
    merge,
    parse_command,
    session_config,
    session_subscription,
)
from runtime.errors import InvalidConfig
from runtime.market import Timeframe
from runtime.session import (
    ExitMode,
    Level,
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


def create_strategy(name: str, parameters: Mapping[str, ParameterValue]) -> object:
    period = parameters.get("period", 9)
    if not isinstance(period, int) or period < 1:
        raise InvalidConfig(f"{name}.period", period, f"must be a whole number above 0 for {name}")
    return object()


CATALOGUE = Catalogue(strategies=frozenset({"index_options_scalper", "ema_cross"}), create_strategy=create_strategy)
UPSTOX = msgspec.structs.replace(CATALOGUE, brokers=frozenset({"paper", "upstox"}))


def command(action: str, data: Mapping[str, Any]) -> StartTrading | UpdateConfig:
    message = json.dumps({"action": action, "user_id": "123", "command_id": "c-1", "data": data}).encode()
    parsed = parse_command(message, datetime(2026, 11, 20, tzinfo=UTC))
    assert isinstance(parsed, StartTrading | UpdateConfig)
    return parsed


def started(data: Mapping[str, Any], catalogue: Catalogue = CATALOGUE, **options: Any) -> SessionConfig:
    return session_config(command("START_TRADING", data), None, catalogue, **options)


def updated(current: SessionConfig, data: Mapping[str, Any]) -> SessionConfig:
    return session_config(command("UPDATE_CONFIG", data), current, CATALOGUE)


def refused(data: Mapping[str, Any], catalogue: Catalogue = CATALOGUE) -> tuple[str, RejectReason]:
    with pytest.raises(InvalidCommand) as caught:
        started(data, catalogue)
    error = caught.value
    assert (error.action, error.user_id, error.command_id) == ("START_TRADING", "123", "c-1")
    return error.field, error.reason


def test_signals_that_come_without_candles_cannot_be_sized_by_them() -> None:
    catalogue = msgspec.structs.replace(CATALOGUE, strategies=frozenset({"external"}))
    external = {"strategy": "external", "instrument": "NSE:BANKNIFTY"}
    assert refused(external | {"sizing": {"method": "volatility_target"}}, catalogue) == ("data.sizing.method", RejectReason.INVALID)
    assert started(external | {"sizing": {"method": "fixed_risk"}}, catalogue).subscriptions[0].strategy == "external"
    assert started({"sizing": {"method": "volatility_target"}}).subscriptions[0].sizes_by_range


def test_no_data_is_a_paper_session_of_the_default_strategy() -> None:
    assert started({}) == SessionConfig()


def test_every_field_reaches_the_engines_configuration() -> None:
    config = started(
        {
            "mode": "live",
            "live_confirmed": True,
            "broker": "upstox",
            "capital": "250000.50",
            "fees": "flat:0.0003",
            "slippage_percent": 0.05,
            "placement": "dedicated",
            "access_token": "t0ken",
            "risk": {
                "max_daily_loss": 5000,
                "max_open_positions": 3,
                "max_orders_per_second": 4,
                "max_orders_per_day": 50,
                "max_notional": "1000000",
                "max_portfolio_heat": "0.06",
                "price_collar_percent": 5,
                "duplicate_window_seconds": 2.5,
                "on_breach": "keep",
            },
            "subscriptions": [
                {
                    "strategy": "ema_cross",
                    "parameters": {"period": 5},
                    "instrument": "NSE:NIFTY",
                    "timeframe": "5m",
                    "sizing": {"method": "fixed", "quantity": 75, "risk_per_trade": 0.02, "leverage": 2, "atr_multiple": "1.5"},
                    "protection": {
                        "exit_mode": "SIGNAL_ONLY",
                        "stop": {"value": 20},
                        "target": {"value": "30.5", "unit": "POINTS"},
                        "trail": None,
                        "square_off": "15:00",
                        "max_hold_minutes": 90,
                        "max_trades_per_day": 3,
                        "min_days_to_expiry": 0,
                        "at_broker": True,
                    },
                    "cooldown_minutes": 2.5,
                }
            ],
        },
        UPSTOX,
        credentials="123:upstox",
    )

    assert config == SessionConfig(
        mode=Mode.LIVE,
        live_confirmed=True,
        broker="upstox",
        credentials="123:upstox",
        capital=Decimal("250000.50"),
        fees="flat:0.0003",
        slippage_percent=Decimal("0.05"),
        placement="dedicated",
        native_stops=False,
        risk=RiskLimits(
            max_daily_loss=Decimal(5000),
            max_open_positions=3,
            max_orders_per_second=4,
            max_orders_per_day=50,
            max_notional=Decimal(1000000),
            max_portfolio_heat=Decimal("0.06"),
            price_collar_percent=Decimal(5),
            duplicate_window=timedelta(seconds=2.5),
            on_breach=OnBreach.KEEP,
        ),
        subscriptions=(
            Subscription(
                strategy="ema_cross",
                parameters={"period": 5},
                instrument="NSE:NIFTY",
                timeframe=Timeframe.M5,
                sizing=Sizing(
                    method=SizingMethod.FIXED,
                    quantity=Decimal(75),
                    risk_per_trade=Decimal("0.02"),
                    leverage=Decimal(2),
                    atr_multiple=Decimal("1.5"),
                ),
                protection=Protection(
                    exit_mode=ExitMode.SIGNAL_ONLY,
                    stop=Level(value=Decimal(20)),
                    target=Level(value=Decimal("30.5"), unit=LevelUnit.POINTS),
                    square_off=time(15, 0),
                    max_hold=timedelta(minutes=90),
                    max_trades_per_day=3,
                    min_days_to_expiry=0,
                    at_broker=True,
                ),
                cooldown=timedelta(seconds=150),
            ),
        ),
    )


def test_one_subscription_may_be_written_flat() -> None:
    flat = {"strategy": "ema_cross", "params": {"period": 5}, "instrument": "BTC/USDT", "timeframe": "15m"}
    listed = {**flat, "parameters": flat["params"]}
    del listed["params"]
    assert started(flat) == started({"subscriptions": [listed]})


def test_a_token_never_reaches_the_configuration() -> None:
    assert "t0ken" not in repr(started({"access_token": "t0ken"}, credentials="123:paper"))


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        ({"strategy": "moon"}, "data.strategy", RejectReason.UNKNOWN_STRATEGY),
        ({"subscriptions": [{}, {"strategy": "moon"}]}, "data.subscriptions.1.strategy", RejectReason.UNKNOWN_STRATEGY),
        ({"parameters": {"period": 0}}, "data.parameters.period", RejectReason.INVALID),
        ({"subscriptions": [{"params": {"period": "x"}}]}, "data.subscriptions.0.parameters.period", RejectReason.INVALID),
        ({"broker": "upstox"}, "data.broker", RejectReason.UNKNOWN_BROKER),
        ({"mode": "live"}, "data.mode", RejectReason.LIVE_UNAVAILABLE),
        ({"sizing": {"method": "fixed"}}, "data.sizing.quantity", RejectReason.INVALID),
        ({"subscriptions": [{}, {"cooldown_minutes": 5}]}, "data.subscriptions", RejectReason.INVALID),
    ],
)
def test_what_does_not_exist_or_fit_here_is_refused_by_name(data: Mapping[str, Any], field: str, reason: RejectReason) -> None:
    assert refused(data) == (field, reason)


REAL: dict[str, Any] = {"live_confirmed": True, "risk": {"max_daily_loss": 1000, "max_open_positions": 1, "max_notional": 50000}}


LIVE = {"mode": "live", "broker": "upstox", "credentials": "vault:7"} | REAL


@pytest.mark.parametrize(
    ("missing", "field", "detail"),
    [
        ({"broker": "paper"}, "data.mode", "is live, which needs another broker than `paper`: name one in `broker`: upstox"),
        ({"credentials": None}, "data.credentials", "is not set: live needs `credentials` (a name in the vault) or an `access_token`"),
        ({"live_confirmed": False}, "data.live_confirmed", "is false: live sends real orders, say `live_confirmed: true`"),
        *(
            (
                {"risk": REAL["risk"] | {name: None}},
                f"data.risk.{name}",
                "is null: live needs a limit in each of max_daily_loss, max_open_positions, max_notional",
            )
            for name in ("max_daily_loss", "max_open_positions", "max_notional")
        ),
    ],
)
def test_each_thing_that_live_needs_is_asked_for_by_name_with_what_it_is_and_what_it_should_be(
    missing: dict[str, Any], field: str, detail: str
) -> None:
    assert started(LIVE, UPSTOX).mode is Mode.LIVE
    parsed = StartTrading.model_validate_json(json.dumps({"action": "START_TRADING", "user_id": "123", "data": LIVE | missing}))
    with pytest.raises(InvalidCommand) as error:
        session_config(parsed, None, UPSTOX)
    assert error.value.field == field
    assert error.value.detail.startswith(detail)


def test_live_has_no_notional_limit_unless_the_user_names_one() -> None:
    """The defaults alone are not enough: a limit on the whole exposure has to be said."""
    assert refused({"mode": "live", "broker": "upstox", "credentials": "vault:7", "live_confirmed": True}, UPSTOX) == (
        "data.risk.max_notional",
        RejectReason.INVALID,
    )


def test_an_update_changes_what_it_names_and_keeps_the_rest() -> None:
    current = started({"capital": 100000, "risk": {"max_daily_loss": 900}, "protection": {"stop": {"value": 10}, "square_off": "15:00"}})

    config = updated(current, {"risk": {"max_open_positions": 2}, "protection": {"stop": {"value": 40, "unit": "POINTS"}}})

    [subscription] = config.subscriptions
    assert config.capital == 100000
    assert config.risk == msgspec.structs.replace(RiskLimits(), max_daily_loss=Decimal(900), max_open_positions=2)
    assert subscription.protection == Protection(stop=Level(value=Decimal(40), unit=LevelUnit.POINTS), square_off=time(15, 0))


def test_null_lifts_a_limit() -> None:
    assert updated(SessionConfig(), {"risk": {"max_daily_loss": None}}).risk.max_daily_loss is None


def test_an_update_may_complete_what_the_session_already_has() -> None:
    current = started({"sizing": {"method": "fixed", "quantity": 30}})
    assert updated(current, {"sizing": {"quantity": 60}}).subscriptions[0].sizing.quantity == 60


def test_parameters_merge_but_a_new_strategy_starts_with_its_own_defaults() -> None:
    current = started({"strategy": "ema_cross", "parameters": {"period": 5, "other": 1}})

    assert updated(current, {"parameters": {"other": 2}}).subscriptions[0].parameters == {"period": 5, "other": 2}
    assert updated(current, {"strategy": "index_options_scalper"}).subscriptions[0].parameters == {}


def test_flat_fields_cannot_say_which_of_several_subscriptions_they_mean() -> None:
    current = started({"subscriptions": [{}, {"instrument": "NSE:NIFTY"}]})
    with pytest.raises(InvalidCommand) as caught:
        updated(current, {"timeframe": "5m"})
    assert caught.value.field == "data.subscriptions"


def test_an_update_without_a_session_is_refused() -> None:
    with pytest.raises(InvalidCommand) as caught:
        session_config(command("UPDATE_CONFIG", {"capital": 5}), None, CATALOGUE)
    assert caught.value.reason is RejectReason.NOT_RUNNING


@given(st.integers(min_value=1, max_value=10**14).map(lambda paise: Decimal(paise) / 100))
def test_money_sent_as_text_arrives_exactly(capital: Decimal) -> None:
    data = command("START_TRADING", {"capital": str(capital)}).data
    assert merge(SessionConfig(), data).capital == capital


def test_each_subscription_may_go_to_another_place_than_the_session() -> None:
    data = REAL | {"broker": "upstox", "credentials": "vault/1", "subscriptions": [{"mode": "live"}, {"timeframe": "5m", "paused": True}]}
    live, slow = started(data, UPSTOX).subscriptions
    assert (live.mode, slow.mode, slow.paused) == (Mode.LIVE, None, True)


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        ({"subscriptions": [{"mode": "live"}]}, "data.mode", RejectReason.LIVE_UNAVAILABLE),
        ({"broker": "upstox", "subscriptions": [{"mode": "live"}]}, "data.credentials", RejectReason.INVALID),
    ],
)
def test_one_live_subscription_needs_what_a_live_session_needs(data: dict[str, Any], field: str, reason: RejectReason) -> None:
    assert refused(data, UPSTOX) == (field, reason)


def subscribed(data: Mapping[str, Any], current: SessionConfig | None = None) -> Subscription:
    parsed = SubscriptionData.model_validate_json(json.dumps(data))
    return session_subscription(parsed, current or SessionConfig(), UPSTOX, action="SUBSCRIBE", user_id="123", command_id="c-1")


def test_a_single_subscription_is_filled_in_with_the_defaults() -> None:
    assert subscribed({}) == Subscription()
    assert subscribed({"strategy": "ema_cross", "sizing": {"method": "fixed", "quantity": 75}, "cooldown_minutes": 3}) == Subscription(
        strategy="ema_cross", sizing=Sizing(method=SizingMethod.FIXED, quantity=Decimal(75)), cooldown=timedelta(minutes=3)
    )


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        ({"strategy": "martingale"}, "data.strategy", RejectReason.UNKNOWN_STRATEGY),
        ({"parameters": {"period": 0}}, "data.parameters.period", RejectReason.INVALID),
        ({"sizing": {"method": "fixed"}}, "data.sizing.quantity", RejectReason.INVALID),
        ({"mode": "live"}, "data.mode", RejectReason.LIVE_UNAVAILABLE),
    ],
)
def test_a_single_subscription_that_cannot_be_is_refused_by_name(data: dict[str, Any], field: str, reason: RejectReason) -> None:
    with pytest.raises(InvalidCommand) as caught:
        subscribed(data)
    assert (caught.value.field, caught.value.reason, caught.value.action) == (field, reason, "SUBSCRIBE")
