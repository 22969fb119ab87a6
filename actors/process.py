"""What a process that holds thousands of traders asks of its interpreter."""

from __future__ import annotations

import gc
import sys

_YOUNG_MAX, _MIDDLE_MAX, _OLD_MAX = 50_000, 20, 100
_SWITCH_SECONDS = 0.001


def prepare_for_many() -> None:
    """Call it when the traders are there.

    They are millions of objects that live for the day: the cyclic collector would walk over all of them again and again,
    in the middle of a signal (a quarter of the time at 5,000 traders). What is there now is never looked at again, and what
    comes later less often: almost all of it goes by reference count. The database driver works in threads, which get the
    interpreter sooner with a shorter switch interval.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE_MAX, _OLD_MAX)
    sys.setswitchinterval(_SWITCH_SECONDS)
