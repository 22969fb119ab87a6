"""Kills processes of a real system at random during accelerated days, and audits its books against the same days undisturbed.

`python -m tests.faults.chaos --kills 50 --users 10 --seed 7 --json`; ends with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from actors.day import percentiles
from actors.services import DEFAULT_SESSION, RunSpec
from actors.system import System
from configs.logging import configure_logging
from runtime.events import EventType
from tests.faults.books import audit, read_books
from tests.faults.commander import Commander
from tests.faults.killer import BACK_SECONDS_MAX, SHARED, Killer
from tests.faults.outside import Outside
from tests.faults.traders import Trader, traders, undisturbed

KILLS_PER_DAY = 20
CANDLES = 375
QUIET = 15
"""No kill in the first and last minutes of the run: what comes back must have time to show it."""
TOGETHER = 0.15
"""Share of kills that take a second process with them."""
DAY_SECONDS_MAX = 900.0


class Blow(NamedTuple):
    """What dies once this many candles have closed."""

    candle: int
    targets: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often something is killed (default 20)")
    parser.add_argument("--users", type=int, default=8, help="how many users trade (default 8)")
    parser.add_argument("--seed", type=int, default=7, help="of the market and of the kills (default 7)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args()
    configure_logging(level="ERROR")
    with tempfile.TemporaryDirectory(prefix="shoal-chaos-", ignore_cleanup_errors=True) as state:
        report = chaos(Path(state), kills=options.kills, users=traders(options.users), seed=options.seed)
    lines = [f"{name:24}{value}" for name, value in report.items()]
    print(json.dumps(report, indent=2) if options.json else "\n".join(lines))  # noqa: T201 - a program's output
    return 1 if report["violations"] else 0


def chaos(state: Path, *, kills: int, users: Sequence[Trader], seed: int) -> dict[str, object]:
    """One run; the report's counts are those of `violations` by kind, 0 throughout when every promise held."""
    spec = RunSpec(
        state=str(state),
        sessions=_weekdays(-(-kills // KILLS_PER_DAY)),
        seed=seed,
        speed=None,
        ticks_per_second=1,
        wait_for_begin=True,
        packed_hosts=2,
        dedicated_max=0,
    )
    control = undisturbed(spec, users)
    started = time.monotonic()
    with System(spec) as system:
        outside = Outside(system.running.redis_url)
        for command_id in [outside.send("START_TRADING", user.user_id, user.data) for user in users]:
            outside.answer(command_id)
        killer, commander = Killer(system, outside), Commander(outside, seed)
        commander.start()
        outside.wait(lambda: commander.answered, BACK_SECONDS_MAX, "the commanded session")
        outside.begin()
        for blow in _plan(kills, len(spec.sessions), [*SHARED, *killer.hosts()], seed):
            outside.wait(lambda candle=blow.candle: outside.market().candles >= candle, DAY_SECONDS_MAX, f"candle {blow.candle}")
            commander.send()
            killer.kill(*blow.targets)
        commander.stop()
        outside.wait(lambda: commander.answered, DAY_SECONDS_MAX, "answers to all commands")
        outside.wait(lambda: outside.market().finished, DAY_SECONDS_MAX, "the end of the last day")
        for user in users:
            outside.ask("GET_STATUS", user.user_id)
        outside.wait(lambda: not outside.commands_left(), BACK_SECONDS_MAX, lambda: f"end of {outside.commands_left()}")
        findings = audit(read_books(outside.events, system.running.mongodb_url, spec.database), users, control)
        market = outside.market()
        outside.close()
    wrong = findings._asdict() | {"commands": commander.violations()}
    counts = Counter(event.type for event in outside.events)
    return {
        "kills": dict(Counter(kill.target for kill in killer.kills)),
        "seconds_to_work": percentiles([kill.seconds for kill in killer.kills]),
        "sessions_recovered": counts[EventType.SESSION_RECOVERED],
        "candles": market.candles,
        "strategy_evaluations": market.strategy_evaluations,
        "signals": market.signals,
        "orders": counts[EventType.ORDER_SUBMITTED],
        "events": len(outside.events),
        "commands_sent": len(commander.sent),
        **{name: len(found) for name, found in wrong.items()},
        "violations": [line for found in wrong.values() for line in found],
        "seconds": round(time.monotonic() - started, 1),
    }


def _plan(kills: int, days: int, targets: Sequence[str], seed: int) -> list[Blow]:
    """Every target in turn, in random order, at random candles; now and then two at once."""
    chance = random.Random(seed)
    candles = sorted(chance.sample(range(QUIET, days * CANDLES - QUIET), kills))
    rounds = [target for _ in range(-(-2 * kills // len(targets))) for target in chance.sample(targets, len(targets))]
    blows: list[Blow] = []
    for candle in candles:
        first, second = rounds.pop(), rounds[-1]
        blows.append(Blow(candle, (first, second) if first != second and chance.random() < TOGETHER else (first,)))
    return blows


def _weekdays(count: int) -> tuple[date, ...]:
    days = (DEFAULT_SESSION + timedelta(days=offset) for offset in range(2 * count + 2))
    return tuple(day for day in days if day.weekday() < 5)[:count]


if __name__ == "__main__":
    sys.exit(main())
