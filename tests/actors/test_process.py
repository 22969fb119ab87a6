"""What a process that holds thousands of traders asks of its interpreter."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, weakref
from actors.process import prepare_for_many

class Knot:
    def __init__(self):
        self.me = self

lasting = [[number] for number in range(100_000)]
prepare_for_many()
later = weakref.ref(Knot())
walked = len(gc.get_objects())
gc.collect()
print(gc.get_freeze_count() > 100_000, walked < 10_000, later() is None)
"""


def test_what_lasts_is_not_walked_over_any_more_and_knots_made_later_are_still_untied() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", "True"]
