"""A whole day on real processes that nobody disturbs, as a program: its books are in the state folder afterwards.

`python -m tests.cluster.whole_day STATE USERS`, USERS being the sessions to start as JSON: {user id: data of START_TRADING}.
A program of its own, because one process can be the driver of one Ray only.
"""

from __future__ import annotations

import json
import sys

from actors.market_recorder import TicksKept
from actors.services import RunSpec
from actors.system import System
from tests.faults.outside import Outside

ANSWER_SECONDS_MAX = 90.0
DAY_SECONDS_MAX = 240.0


def spec(state: str) -> RunSpec:
    return RunSpec(state=state, speed=None, ticks_per_second=1, wait_for_begin=True, dedicated_max=0, ticks_kept=TicksKept.ALL)


def main() -> None:
    with System(spec(sys.argv[1])) as system:
        outside = Outside(system.running.redis_url)
        users = json.loads(sys.argv[2])
        for command_id in [outside.send("START_TRADING", user, data) for user, data in users.items()]:
            outside.answer(command_id, seconds=ANSWER_SECONDS_MAX)
        outside.begin()
        outside.wait(lambda: outside.market().finished, DAY_SECONDS_MAX, "the end of the day")
        for user in users:
            outside.ask("GET_STATUS", user)
        outside.close()


if __name__ == "__main__":
    main()
