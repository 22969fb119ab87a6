"""The smallest useful strategy, and the example to start one's own from."""

from __future__ import annotations

from typing import ClassVar

from runtime.errors import InvalidConfig
from runtime.indicators import Ema
from runtime.market import Candle
from runtime.signals import Side, Target
from runtime.strategy import MarketContext
from strategies.parameters import Period


class EmaCross:
    """Long while the fast EMA is above the slow one, short while below.

    fast_period, slow_period: candles of the two averages.
    """

    name: ClassVar[str] = "ema_cross"

    def __init__(self, *, fast_period: Period = 9, slow_period: Period = 21) -> None:
        if fast_period >= slow_period:
            raise InvalidConfig("ema_cross.fast_period", fast_period, f"must be below slow_period ({slow_period})")
        self._fast = Ema(fast_period)
        self._slow = Ema(slow_period)

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:  # noqa: ARG002 (the protocol's signature)
        fast, slow = self._fast.update(candle.close), self._slow.update(candle.close)
        if fast is None or slow is None or fast == slow:
            return None
        side = Side.LONG if fast > slow else Side.SHORT
        return Target(
            side=side,
            rule="ema_cross",
            reason=f"fast {fast:.2f} against slow {slow:.2f}",
            direction=side.value,
            price=candle.close,
            context=self.describe(),
        )

    def describe(self) -> dict[str, float | str | None]:
        return {"ema_fast": self._fast.value, "ema_slow": self._slow.value}
