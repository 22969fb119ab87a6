"""Kills hosts, supervisor, Valkey and mongod at random while signals fan out, and counts orders in the desks' own ledger.

`python -m tests.faults.fan_out --kills 200 --users 100 --seed 7 --json`; ends with 1 unless every user has exactly one
accepted entry per signal.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from actors.cluster import SUPERVISOR
from actors.day import percentiles
from actors.order_ledger import Accepted, read_ledger
from actors.services import RunSpec
from actors.system import System
from configs.logging import configure_logging
from runtime.events import EventType
from runtime.orders import Leg
from tests.faults.killer import MONGOD, VALKEY, Killer
from tests.faults.outside import Outside

SOURCE, SYMBOL = "chaos", "NSE:BANKNIFTY"
FOLLOWING: dict[str, object] = {
    "strategy": "external",
    "parameters": {"source": SOURCE},
    "sizing": {"method": "fixed", "quantity": 30},
    "protection": {"exit_mode": "SIGNAL_ONLY"},
    "risk": {"max_daily_loss": None, "max_orders_per_day": 100_000, "max_orders_per_second": 100},
}
SETTLED_SECONDS_MAX = 90.0
DELAY_SECONDS_MAX = 0.4
"""After a signal is published, until something dies: within the fan-out, or just behind it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often something is killed (default 200)")
    parser.add_argument("--users", type=int, default=100, help="how many users follow the signals (default 100)")
    parser.add_argument("--seed", type=int, default=7, help="of the kills (default 7)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args()
    configure_logging(level="ERROR")
    with tempfile.TemporaryDirectory(prefix="shoal-fan-out-", ignore_cleanup_errors=True) as state:
        report = fan_out(Path(state), kills=options.kills, users=options.users, seed=options.seed)
    lines = [f"{name:24}{value}" for name, value in report.items()]
    print(json.dumps(report, indent=2) if options.json else "\n".join(lines))  # noqa: T201 - a program's output
    return 1 if report["missing"] or report["doubled"] else 0


def fan_out(state: Path, *, kills: int, users: int, seed: int) -> dict[str, object]:
    """One signal per kill; every follower is reversed by each."""
    chance, ledger, started = random.Random(seed), state / "ledger", time.monotonic()
    spec = RunSpec(state=str(state), seed=seed, ticks_per_second=1, packed_hosts=2, dedicated_max=0, ledger=str(ledger))
    names = [f"u{number:03d}" for number in range(users)]
    with System(spec) as system:
        outside = Outside(system.running.redis_url)
        for command_id in [outside.send("START_TRADING", name, FOLLOWING) for name in names]:
            outside.answer(command_id, seconds=SETTLED_SECONDS_MAX)
        killer = Killer(system, outside)
        targets = [SUPERVISOR, VALKEY, MONGOD, *killer.hosts()]
        signals = [_published(outside, number, names, killer, chance, targets) for number in range(kills)]
        outside.close()
    missing, doubled = compare(read_ledger(ledger), names, signals)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for kill in killer.kills:
        seconds[kill.target].append(kill.seconds)
    return {
        "kills": dict(Counter(kill.target for kill in killer.kills)),
        "seconds_to_work": percentiles([kill.seconds for kill in killer.kills]),
        "seconds_to_work_of": {target: percentiles(found) for target, found in sorted(seconds.items())},
        "users": users,
        "signals": len(signals),
        "entries": users * len(signals),
        "missing": missing,
        "doubled": doubled,
        "seconds": round(time.monotonic() - started, 1),
    }


def _published(outside: Outside, number: int, names: Sequence[str], killer: Killer, chance: random.Random, targets: Sequence[str]) -> str:
    """Publish one signal, kill something in the middle of its fan-out, and wait until everybody has acted on it: its id."""
    data = {"strategyId": SOURCE, "symbol": SYMBOL, "signal": ("buy", "sell")[number % 2], "signalId": str(number)}
    command_id = outside.send("PUBLISH_SIGNAL", data=data)
    time.sleep(chance.uniform(0, DELAY_SECONDS_MAX))
    killer.kill(chance.choice(targets))
    signal_id = str(outside.answer(command_id, seconds=SETTLED_SECONDS_MAX).data["signal_id"])

    def waiting() -> set[str]:
        entries = (event for event in outside.events if event.type is EventType.ORDER_FILLED)
        return set(names) - {event.user_id for event in entries if event.data["signal_id"] == signal_id}

    outside.wait(lambda: not waiting(), SETTLED_SECONDS_MAX, lambda: f"entries of {sorted(waiting())} on signal {number}")
    return signal_id


def compare(ledger: Iterable[Accepted], names: Sequence[str], signals: Sequence[str]) -> tuple[list[str], list[str]]:
    """(entries that are not in the ledger, entries that are there under more than one order id)."""
    orders: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for accepted in ledger:
        if accepted.leg == Leg.ENTRY:
            orders[accepted.user_id, accepted.signal_id].add(accepted.order_id)
    wanted = [(name, signal_id) for name in names for signal_id in signals]
    missing = [f"{name} {signal_id}" for name, signal_id in wanted if not orders[name, signal_id]]
    return missing, [f"{' '.join(key)}: {len(ids)} orders" for key, ids in orders.items() if len(ids) > 1]


if __name__ == "__main__":
    sys.exit(main())
