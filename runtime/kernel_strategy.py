"""Strategies whose decision is one function of numbers: live it is called as Python, in a backtest as machine code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from math import isnan, nan
from typing import ClassVar, NamedTuple, TypeAlias

from runtime.compiled import kernel
from runtime.kernels import State
from runtime.market import Candle
from runtime.signals import Side, Target
from runtime.strategy import MarketContext

FLAT_CODE = 127
NO_SESSION = -1.0
_EPOCH = date(1970, 1, 1)


class Bar(NamedTuple):
    """A candle as a step sees it.

    `session`: days since 1970-01-01 of the exchange date whose session the candle is in, -1 outside of any; `minute`:
    exchange-local minutes since midnight; `time`: epoch seconds, all of the candle's start. `volume` and `pcr` (the put-call
    ratio of the newest chain) are NaN where unknown.
    """

    session: float
    minute: float
    time: float
    open: float
    high: float
    low: float
    close: float
    volume: float
    pcr: float


Step: TypeAlias = Callable[[State, Sequence[float], State, Bar], int]
"""`step(state, parameters, values, bar) -> code`

The code is 0 for no opinion, +n for LONG and -n for SHORT by the n-th of the strategy's `rules`, `FLAT_CODE` for out.
`step` writes the values behind its decision into `values`, NaN while unknown.
"""


@kernel
def step(state: State, parameters: Sequence[float], values: State, bar: Bar) -> int:
    """What a compiled loop calls; `compiled(loop, step=…)` puts a strategy's own in its place.

    Were it an argument, the loop's machine code could not be kept on disk.
    """
    raise NotImplementedError


class KernelStrategy(ABC):
    """A `Strategy` around a `step` marked `kernel`. Subclasses name `rules`, `columns` and `step`, and write `explain`.

    `parameters` and `state_size` numbers of state, all zeros to begin with, are the step's own.
    """

    name: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]
    columns: ClassVar[tuple[str, ...]]
    """What `step` leaves in `values`."""
    gives_levels: ClassVar[bool] = True
    """Whether `explain` may give a stop or a target. False lets the screening lane serve sessions that name only one of the two."""
    step: Step

    def __init__(self, parameters: Sequence[float], *, state_size: int) -> None:
        self.parameters = tuple(float(value) for value in parameters)
        self.state_size = state_size
        self._state: list[float] = [0.0] * state_size
        self._values: list[float] = [nan] * len(self.columns)

    def on_candle(self, candle: Candle, context: MarketContext) -> Target | None:
        local = candle.opened_at.astimezone(context.session_open.tzinfo)
        inside = context.session_open <= candle.opened_at < context.session_close
        bar = Bar(
            session=float((context.session_open.date() - _EPOCH).days) if inside else NO_SESSION,
            minute=float(local.hour * 60 + local.minute),
            time=(candle.opened_at - _EPOCH_TIME).total_seconds(),
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=nan if context.volume is None else context.volume,
            pcr=self.put_call_ratio(context),
        )
        code = self.step(self._state, self.parameters, self._values, bar)
        return self.explain(code, self._values, candle, context) if code else None

    @abstractmethod
    def explain(self, code: int, values: Sequence[float], candle: Candle, context: MarketContext) -> Target:
        """The decision in words, and the contract to trade; called for codes other than 0 only."""

    def put_call_ratio(self, context: MarketContext) -> float:
        """For a `step` that looks at it; NaN where it is unknown."""
        del context
        return nan

    def describe(self) -> dict[str, float | str | None]:
        return self.described(self._values)

    def described(self, values: Sequence[float]) -> dict[str, float | str | None]:
        return {name: None if isnan(value) else float(value) for name, value in zip(self.columns, values, strict=True)}


def side_of(code: int) -> Side:
    if code == FLAT_CODE:
        return Side.FLAT
    return Side.LONG if code > 0 else Side.SHORT


_EPOCH_TIME = datetime(1970, 1, 1, tzinfo=UTC)
