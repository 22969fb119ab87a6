"""Every Redis name the runtime uses, in one place. `trading:*` is the public contract; `shoal:*` is internal."""

from __future__ import annotations

from runtime.market import InstrumentId

COMMANDS = "trading:commands"
COMMANDS_STREAM = "trading:commands:stream"
COMMANDS_GROUP = "supervisor"
EVENTS = "trading:events"
EVENTS_STREAM = "trading:events:stream"

PRICES = "shoal:prices"
"""Channel of `market.Prices` batches."""
PRICES_LATEST = "shoal:prices:latest"
"""Hash instrument -> newest `market.Quote`, re-read by whoever saw a gap."""
SIGNALS = "shoal:signals"
"""Stream of `wire.SignalMessage`."""
CHAINS = "shoal:chains"
"""Channel of `market.OptionChain`."""
MARKET_CONTROL = "shoal:market"
"""Stream of requests to the market-data actor."""
PROGRESS = "shoal:progress"
"""Hash participant -> how far it has followed the market, for lockstep replay and `doctor`."""


def user_events(user_id: str) -> str:
    return f"{EVENTS}:{user_id}"


def latest_chain(underlying: InstrumentId) -> str:
    return f"shoal:chain:{underlying}"


def host_inbox(host_id: str) -> str:
    """Stream of user commands routed to one trader host."""
    return f"shoal:host:{host_id}"
