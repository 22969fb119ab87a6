"""An event loop in which waiting takes no time: the clock jumps to the next timer as soon as nothing is left to do.

Everything that waits through asyncio (sleeps, timeouts) takes exactly as long as it says, in virtual seconds, and the order
of events is always the same.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from runtime.errors import InternalError

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Polls instead of waiting, and moves the loop's clock by the time it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise InternalError("deadlock in virtual time: every task waits for another")
        self.now += max(timeout, 0.0)
        return super().select(0) if len(self.get_map()) > 1 else []  # the loop's own pipe only serves to end a wait


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class VirtualClock:
    """`runtime.ports.Clock` on a `VirtualTimeLoop`; the day starts at `start` when the loop's time is 0."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a `VirtualTimeLoop`."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
