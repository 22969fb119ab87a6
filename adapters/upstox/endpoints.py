"""Where Upstox is reached, and from where."""

from __future__ import annotations

import msgspec


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Base addresses without a trailing slash. Place, modify and cancel have a host of their own (`orders`)."""

    api: str = "https://api.upstox.com"
    orders: str = "https://api-hft.upstox.com"
    feed: str = "wss://api.upstox.com/v3/feed/market-data-feed"
    portfolio: str = "wss://api.upstox.com/v2/feed/portfolio-stream-feed"
    instruments: str = "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz"


class Egress(msgspec.Struct, frozen=True, kw_only=True):
    """How an account's orders leave: since 2026-04-01 each Indian account has a registered static address of its own.

    `local_address` is an address of this machine to send from, `proxy` a forward proxy (`http://host:port`); `public_address`
    is what the broker then sees, for the check before the first order. Nothing set: the machine's default route.
    """

    local_address: str | None = None
    proxy: str | None = None
    public_address: str | None = None
