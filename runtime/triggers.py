"""One sorted book of price levels per instrument for all traders of a process.

A quote costs O(log n + watches touched), never O(watches): the untouched are not looked at.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from sortedcontainers import SortedList

from runtime.market import InstrumentId

WatchOwner: TypeAlias = tuple[str, str]
"""(user id, slot)."""

_Entry: TypeAlias = tuple[float, WatchOwner]


class _Levels:
    __slots__ = ("highs", "lows")

    def __init__(self) -> None:
        self.lows: SortedList[_Entry] = SortedList()
        self.highs: SortedList[_Entry] = SortedList()


class TriggerBook:
    """Who wants to be woken at which price. A watch fires once and is gone; its owner asks again if it still cares."""

    def __init__(self) -> None:
        self._levels: dict[InstrumentId, _Levels] = {}
        self._watches: dict[WatchOwner, tuple[InstrumentId, float | None, float | None]] = {}
        self._watched: Counter[InstrumentId] = Counter()

    def __len__(self) -> int:
        return len(self._watches)

    def instruments(self) -> set[InstrumentId]:
        return set(self._watched)

    def watch(self, owner: WatchOwner, instrument: InstrumentId, *, low: float | None, high: float | None) -> None:
        """Fire when a price is at or below `low`, or at or above `high`. Replaces the owner's earlier watch.

        Without a level it never fires, but the instrument counts as watched.
        """
        self.unwatch(owner)
        self._watches[owner] = (instrument, low, high)
        self._watched[instrument] += 1
        if low is None and high is None:
            return
        levels = self._levels.setdefault(instrument, _Levels())
        if low is not None:
            levels.lows.add((low, owner))
        if high is not None:
            levels.highs.add((high, owner))

    def unwatch(self, owner: WatchOwner) -> None:
        watch = self._watches.pop(owner, None)
        if watch is None:
            return
        instrument, low, high = watch
        self._watched[instrument] -= 1
        if not self._watched[instrument]:
            del self._watched[instrument]
        if low is None and high is None:
            return
        levels = self._levels[instrument]
        if low is not None:
            levels.lows.remove((low, owner))
        if high is not None:
            levels.highs.remove((high, owner))
        if not levels.lows and not levels.highs:
            del self._levels[instrument]

    def is_touched(self, owner: WatchOwner, instrument: InstrumentId, price: float) -> bool:
        """Whether `price` reaches a level of this one owner; his watch stays."""
        watched, low, high = self._watches.get(owner, (None, None, None))
        return watched == instrument and ((low is not None and price <= low) or (high is not None and price >= high))

    def touched(self, instrument: InstrumentId, price: float) -> list[WatchOwner]:
        """Remove and return the owners whose levels `price` has reached, furthest level first."""
        levels = self._levels.get(instrument)
        if levels is None:
            return []
        owners: list[WatchOwner] = []
        lows, highs = levels.lows, levels.highs
        if lows and lows[-1][0] >= price:
            first = lows.bisect_left((price, ("", "")))
            owners.extend(owner for _, owner in reversed(lows[first:]))
        if highs and highs[0][0] <= price:
            for level, owner in highs:
                if level > price:
                    break
                owners.append(owner)
        owners = list(dict.fromkeys(owners))  # one whose levels have crossed is reached on both sides
        for owner in owners:
            self.unwatch(owner)
        return owners
