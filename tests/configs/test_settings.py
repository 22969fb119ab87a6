from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from configs.settings import Profile, load_settings
from runtime.errors import InvalidConfig

SERVERS = {"redis_url": "redis://:pw@redis.example:6379/0", "mongodb_url": "mongodb://u:pw@mongo.example/"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "MONGODB_URL", "RAY_ADDRESS", "SHOAL_SPEED", "SHOAL_STATE", "SHOAL_SEED"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_is_complete(profile: Profile) -> None:
    settings = load_settings(profile, **SERVERS)
    assert settings.underlyings == ("NSE:BANKNIFTY",)
    assert settings.dedicated_actors_per_core == (0 if profile is Profile.BACKTEST else 8)


def test_the_caller_wins_over_the_environment_and_that_over_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(Profile.DEMO).speed is None
    monkeypatch.setenv("SHOAL_SPEED", "30")
    monkeypatch.setenv("SHOAL_SEED", "11")
    settings = load_settings(Profile.DEMO, seed=3)

    assert (settings.speed, settings.seed) == (30, 3)
    assert settings.heartbeat_interval == timedelta(minutes=5)
    assert settings.state == Path(".shoal/demo")


def test_servers_are_named_as_everybody_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:canary@host:1")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    settings = load_settings(Profile.PAPER)

    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://:canary@host:1"
    assert settings.ray_address == "10.0.0.1:6379"
    assert settings.mongodb_url is None
    assert "canary" not in repr(settings) + settings.model_dump_json()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().speed = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [("speed", -1), ("speed", float("nan")), ("dedicated_actors_per_core", -1), ("database", "a/b"), ("spede", 1), ("log_level", "LOUD")],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidConfig) as refused:
        load_settings(Profile.PAPER, **{name: value})
    assert refused.value.field == name


def test_a_refusal_shows_no_secret() -> None:
    with pytest.raises(InvalidConfig) as refused:
        load_settings(Profile.PAPER, redis_url=["canary"], redis_pasword="canary")
    assert "canary" not in str(refused.value)


def test_live_trading_needs_real_servers() -> None:
    with pytest.raises(InvalidConfig, match="real servers"):
        load_settings(Profile.LIVE)
