"""What a trader has to know of the world around it before it enters anything: market data, its broker, the store of its journal."""

from __future__ import annotations

from datetime import datetime

import msgspec

from runtime.market import InstrumentId


class FeedChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """`up`: whether there is market data at all; while there is, `silent` are the instruments that say nothing in their session."""

    ts: datetime
    up: bool
    reason: str = ""
    silent: tuple[InstrumentId, ...] = ()


class BrokerChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`needs_login`: nothing helps but the user's logging in with the broker again."""

    ts: datetime
    up: bool
    reason: str = ""
    needs_login: bool = False


class StoreChanged(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Whether the journal goes to its store. Down: to a log on this machine's disk, and nothing but exits leaves."""

    ts: datetime
    up: bool
    reason: str = ""
