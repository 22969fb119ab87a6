"""Settings of live brokers and of the accounts there. None of it is secret: tokens are in the vault."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Url = Annotated[str, StringConstraints(pattern=r"^(https?|wss?)://[^\s/]+[^\s]*[^\s/]$")]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UpstoxSettings(_Frozen):
    """`credentials` names the vault entry with the read-only token that feed, chain and history use for everybody.

    The addresses are the vendor's unless a local venue takes its place.
    """

    api: Url = "https://api.upstox.com"
    orders: Url = "https://api-hft.upstox.com"
    feed: Url = "wss://api.upstox.com/v3/feed/market-data-feed"
    portfolio: Url = "wss://api.upstox.com/v2/feed/portfolio-stream-feed"
    instruments: Url = "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"
    credentials: str = "market-data/upstox"
    time: Literal["wall", "quotes"] = "wall"
    """Whose clock counts: this machine's, or the one that the quotes of a local venue name."""
    stale_seconds: Seconds = 30.0


class AccountEntry(_Frozen):
    """One account. `local_address` or `proxy` is how its orders leave; `public_address` what the broker then sees.

    `product`: I (intraday) or D (carried). `visibility_seconds`: after how long an order that the broker's books do not
    show may count as never arrived; `exit_visibility_seconds`: the same of one that closes a position.
    """

    product: Literal["I", "D"] = "I"
    algo_name: str | None = None
    local_address: IPv4Address | IPv6Address | None = None
    proxy: Url | None = None
    public_address: IPv4Address | IPv6Address | None = None
    visibility_seconds: Seconds = 120.0
    exit_visibility_seconds: Seconds = 3.0
    reprice_seconds: Seconds = 2.0
    answer_seconds: Seconds = 8.0
    exit_answer_seconds: Seconds = 2.0
