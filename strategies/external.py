"""Signals that another program decides: followed like a strategy, computed nowhere here."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from runtime.market import Candle
from runtime.signals import EXTERNAL, Target
from runtime.strategy import MarketContext

Source: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]


class External:
    """Follows what PUBLISH_SIGNAL brings for the subscription's instrument; wants nothing by itself.

    source: `strategyId` of the signals.
    """

    name: ClassVar[str] = EXTERNAL

    def __init__(self, *, source: Source = "default") -> None:
        self._source = source

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:  # noqa: ARG002 (the protocol's signature)
        return None

    def describe(self) -> dict[str, float | str | None]:
        return {"source": self._source}
