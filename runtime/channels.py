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
"""Key holding one `market.Prices` with the newest quote of every instrument, re-read by whoever saw a gap."""
SIGNALS = "shoal:signals"
"""Stream of `wire.SignalMessage`."""
INBOUND_SIGNALS = "shoal:signals:inbound"
"""Stream of `wire.InboundSignal`, from the supervisor to the market-data actor, which sends them on as signals."""
CHAINS = "shoal:chains"
"""Channel of `market.OptionChain`."""
MARKET_CONTROL = "shoal:market"
"""Stream of requests to the market-data actor."""
HELD = "shoal:held"
"""Hash host -> JSON list of instruments its open positions and orders need."""
EPOCHS = "shoal:epochs"
"""Hash user -> newest epoch of his session, for a host that cannot ask the store whether it still has him."""
CLOCK = "shoal:clock"
"""Key with the venue time the market-data actor has reached, for its successor and for newcomers."""
ACKNOWLEDGED = "shoal:acknowledged"
"""Channel of commands, as `user/command id`, whose effect is durable."""
HALTS = "shoal:halts"
"""Channel on which the supervisor cries a halt (`events.HaltTrading`) before it is in any inbox."""
HALTS_AHEAD = "shoal:halts:ahead"
"""Hash command id -> `wire.HaltAhead`: halts that were taken and are not yet on record."""
ROLL_CALL = "shoal:roll-call"
"""Channel of `wire.RollCallAnswer`."""
LATENCY = "shoal:latency"
"""Stream of `wire.LatencySamples`."""
PROGRESS = "shoal:progress"
"""Hash participant -> how far it has followed the market, for lockstep replay and `doctor`."""


MARKET_LEASE = "shoal:lease:market"
"""Held by the one market-data actor that speaks; the key beside it, `…:token`, counts how often it was given out."""


def account_lease(user_id: str) -> str:
    """Held by the one host that has a session with this user's broker."""
    return f"shoal:lease:account:{user_id}"


def user_events(user_id: str) -> str:
    return f"{EVENTS}:{user_id}"


def latest_chain(underlying: InstrumentId) -> str:
    return f"shoal:chain:{underlying}"


def roll_call(command_id: str) -> str:
    """Hash host -> traders that have taken this halt, or its end, in."""
    return f"{ROLL_CALL}:{command_id}"


def host_inbox(host_id: str) -> str:
    """Stream of user commands routed to one trader host."""
    return f"shoal:host:{host_id}"


def signals_cursor(host_id: str) -> str:
    """Key with the newest entry of `SIGNALS` that a host has settled for all of its users."""
    return f"shoal:cursor:{host_id}:signals"
