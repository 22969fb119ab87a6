"""The last seconds of the market as a host saw them, for a trader that arrives in the middle of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

from runtime.market import Prices
from runtime.signals import Signal

PRICES_KEPT = 1_000
SIGNALS_KEPT = 200
"""Many seconds of a live market; far more than the host that the trader comes from may lag behind."""


class Recent:
    """A user who is moved is watched by the host he leaves until the one he comes to has written to his journal. What the old
    host had not looked at by then it can act on no more, so the new one looks at what it has kept.
    """

    def __init__(self) -> None:
        self._prices: deque[Prices] = deque(maxlen=PRICES_KEPT)
        self._signals: deque[Signal] = deque(maxlen=SIGNALS_KEPT)

    def add_prices(self, prices: Prices) -> None:
        if prices.quotes:
            self._prices.append(prices)

    def add_signal(self, signal: Signal) -> None:
        self._signals.append(signal)

    def prices_since(self, ts: datetime | None) -> list[Prices]:
        """From venue time `ts` on. What a trader has journaled at `ts` he has done in view of all that was older; since then
        his levels have not changed, so that looking at the same prices twice touches nothing twice.
        """
        return [prices for prices in self._prices if ts is None or prices.ts >= ts]

    def signals(self) -> Iterator[Signal]:
        """Oldest first; a trader knows those that he has seen."""
        return iter(list(self._signals))
