"""How a system is set: a profile (YAML beside this file), then environment variables, then what the caller says; later wins."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from configs.accounts import AccountEntry, UpstoxSettings
from runtime.errors import InvalidConfig
from runtime.market import InstrumentId


class Profile(StrEnum):
    DEMO = "demo"
    PAPER = "paper"
    LIVE = "live"
    UPSTOX_SIM = "upstox-sim"
    BACKTEST = "backtest"


class Settings(BaseSettings):
    """One deployment's settings. Environment: `SHOAL_<NAME>`, and `REDIS_URL`, `MONGODB_URL`, `RAY_ADDRESS` as everybody names them.

    Durations are in seconds or ISO 8601 (`PT5M`).
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix="SHOAL_", populate_by_name=True)

    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    """None: the embedded Valkey."""
    mongodb_url: SecretStr | None = Field(default=None, validation_alias="MONGODB_URL")
    """None: the embedded mongod."""
    ray_address: str | None = Field(default=None, validation_alias="RAY_ADDRESS")
    """None: a Ray of our own on this machine."""
    database: str = Field(default="shoal", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    state: Path = Path(".shoal")
    """Folder for the embedded servers' data, secrets (mode 0600) and logs."""

    underlyings: tuple[InstrumentId, ...] = Field(default=("NSE:BANKNIFTY",), min_length=1)
    """What strategies may run on, with the futures of indexes. Environment: a JSON list."""
    feed: Literal["simulated", "upstox"] = "simulated"
    speed: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Venue seconds per second of a simulated feed; None: as fast as every reader follows."""
    seed: int = 7

    dedicated_actors_per_core: int = Field(default=8, ge=0, le=64)
    """Users with a process of their own; the others share one process per core."""
    heartbeat_interval: timedelta = Field(default=timedelta(minutes=5), ge=timedelta(seconds=1))
    snapshot_interval: timedelta = Field(default=timedelta(minutes=1), ge=timedelta(seconds=1))
    events_kept_max: int = Field(default=1_000_000, ge=1_000)
    """Length at which the public event stream is trimmed."""
    ticks_kept: Literal["none", "served", "all"] = "served"
    """Raw ticks in the store for a week: of the instruments that strategies run on, or of the options around the money as well."""
    journal_retention: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=1))
    upstox: UpstoxSettings | None = None
    """None: Upstox is not offered. `{}` names the vendor's own addresses."""
    accounts: dict[str, AccountEntry] = {}
    """Live accounts that differ from the usual, by user id."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def load_settings(profile: Profile = Profile.PAPER, **overrides: Any) -> Settings:
    """The settings of `profile`.

    Raises:
        InvalidConfig: a value that is not allowed, a name that does not exist, `live` without servers or on a made-up market; secrets are not shown.
    """

    class FromProfile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, Path(__file__).with_name(f"{profile}.yaml"))

    try:
        settings = FromProfile(**overrides)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidConfig(name, first["input"] if name in _SHOWN else "…", f"{first['msg']} (profile {profile})") from None
    if profile is Profile.LIVE and not (settings.redis_url and settings.mongodb_url):
        raise InvalidConfig(
            "REDIS_URL, MONGODB_URL", None, "the profile live needs real servers: the embedded ones are no production servers"
        )
    if profile is Profile.LIVE and settings.feed == "simulated":
        raise InvalidConfig("feed", settings.feed, "the profile live trades on a real market: name its feed, such as upstox")
    return settings


_SHOWN = frozenset(Settings.model_fields) - {"redis_url", "mongodb_url"}
