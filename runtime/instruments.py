"""The instrument master from day to day: is a new list whole and of today, and what changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from runtime.errors import InvalidMarketData
from runtime.market import Instrument, InstrumentId

WHOLE_SHARE_MIN = 0.8
"""A list that lacks more than a fifth of what should still be there is torn. Whole series expire, but never that many on one day."""
EXPIRED_SHARE_MAX = 0.02
"""A list of today names no contract that is over; an old one names thousands."""
_COMPARED = ("lot_size", "tick_size", "freeze_quantity", "expiry", "strike")


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument and the key under which one broker takes orders and sends prices for it."""

    instrument: Instrument
    key: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an instrument that is not what it was, such as a lot size after a revision by the exchange."""

    instrument: InstrumentId
    field: str
    before: Any
    after: Any


class MasterDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What a new list says that the one before did not. All ids ascend."""

    new: tuple[InstrumentId, ...]
    expired: tuple[InstrumentId, ...]
    delisted: tuple[InstrumentId, ...]
    """Gone before their time, or without one."""
    changed: tuple[Change, ...]
    listed: int

    @property
    def is_empty(self) -> bool:
        return not (self.new or self.expired or self.delisted or self.changed)


def compare_masters(before: Mapping[InstrumentId, Instrument], after: Mapping[InstrumentId, Instrument], today: date) -> MasterDiff:
    """`before` and `after` by id; `today` decides whether what is gone has expired."""
    gone = sorted(before.keys() - after.keys())
    changed = [
        Change(instrument=name, field=field, before=getattr(before[name], field), after=getattr(after[name], field))
        for name in sorted(before.keys() & after.keys())
        for field in _COMPARED
        if getattr(before[name], field) != getattr(after[name], field)
    ]
    return MasterDiff(
        new=tuple(sorted(after.keys() - before.keys())),
        expired=tuple(name for name in gone if is_over(before[name], today)),
        delisted=tuple(name for name in gone if not is_over(before[name], today)),
        changed=tuple(changed),
        listed=len(after),
    )


def check_master(before: Mapping[InstrumentId, Instrument], after: Mapping[InstrumentId, Instrument], today: date) -> None:
    """Whether `after` can be the list of `today`, the one before being `before` (empty on the first day).

    Raises:
        InvalidMarketData: it is torn, or it is of an earlier day; says by what that shows.
    """
    if not after:
        raise InvalidMarketData("instrument master", "0 instruments", "is empty or torn: fetch it again")
    contracts = [instrument for instrument in after.values() if instrument.expiry is not None]
    over = sum(is_over(contract, today) for contract in contracts)
    if over > EXPIRED_SHARE_MAX * len(contracts):
        newest = max(contract.expiry for contract in contracts if contract.expiry is not None and is_over(contract, today))
        raise InvalidMarketData(
            "instrument master",
            f"{over} of {len(contracts)} contracts",
            f"expired before {today}, up to {newest}: it is old, fetch today's",
        )
    lasting = {name for name, instrument in before.items() if not is_over(instrument, today)}
    kept = len(lasting & after.keys())
    if kept < WHOLE_SHARE_MIN * len(lasting):
        raise InvalidMarketData(
            "instrument master",
            f"{kept} of {len(lasting)} instruments",
            f"of the list before are left, at least {WHOLE_SHARE_MIN:.0%} must be: it is torn",
        )


def is_over(instrument: Instrument, today: date) -> bool:
    return instrument.expiry is not None and instrument.expiry < today
