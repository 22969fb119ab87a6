from __future__ import annotations

import time
from datetime import UTC

from adapters.clock import WallClock


async def test_the_wall_clock_tells_utc_and_waits_at_least_as_long_as_asked() -> None:
    clock = WallClock()
    begun, ticked = clock.now(), time.monotonic()
    await clock.sleep(0.01)

    assert begun.tzinfo is UTC
    assert abs(begun.timestamp() - time.time()) < 5
    assert time.monotonic() - ticked >= 0.01
