"""The smallest useful strategy, and the example to start one's own from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from runtime.compiled import kernel
from runtime.errors import InvalidConfig
from runtime.kernel_strategy import Bar, KernelStrategy, side_of
from runtime.kernels import SMOOTHED_SIZE, State, smoothed
from runtime.market import Candle
from runtime.signals import Target
from runtime.strategy import MarketContext
from strategies.parameters import Period


@kernel
def ema_cross_step(state: State, parameters: Sequence[float], values: State, bar: Bar) -> int:
    fast = smoothed(state, 0, parameters[0], parameters[1], bar.close)
    slow = smoothed(state, SMOOTHED_SIZE, parameters[2], parameters[3], bar.close)
    values[0], values[1] = fast, slow
    if fast > slow:  # false while either is NaN
        return 1
    return -1 if fast < slow else 0


class EmaCross(KernelStrategy):
    """Long while the fast EMA is above the slow one, short while below.

    fast_period, slow_period: candles of the two averages.
    """

    name: ClassVar[str] = "ema_cross"
    rules = ("ema_cross",)
    columns = ("ema_fast", "ema_slow")
    gives_levels = False
    step = staticmethod(ema_cross_step)

    def __init__(self, *, fast_period: Period = 9, slow_period: Period = 21) -> None:
        if fast_period >= slow_period:
            raise InvalidConfig("ema_cross.fast_period", fast_period, f"must be below slow_period ({slow_period})")
        parameters = (fast_period, 2.0 / (fast_period + 1), slow_period, 2.0 / (slow_period + 1))
        super().__init__(parameters, state_size=2 * SMOOTHED_SIZE)

    def explain(self, code: int, values: Sequence[float], candle: Candle, context: MarketContext) -> Target:
        del context
        side = side_of(code)
        return Target(
            side=side,
            rule="ema_cross",
            reason=f"fast {values[0]:.2f} against slow {values[1]:.2f}",
            direction=side.value,
            price=candle.close,
            context=self.described(values),
        )
