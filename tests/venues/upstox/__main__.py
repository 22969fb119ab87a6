"""`python -m tests.venues.upstox --port 8300 --seed 7 --script faults.yaml`: prints its addresses as one line of JSON when ready."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path

import msgspec

from runtime.market import IST
from tests.venues.upstox import UpstoxVenue, faults, simple

_END = time(16, 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.venues.upstox", description="A local Upstox for tests.")
    parser.add_argument("--port", type=int, default=0, help="of the REST host, the order host has the next one; 0: free ones (default)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same prices (default 7)")
    parser.add_argument(
        "--speed", type=float, default=None, help="venue seconds per second from the first request on; none: POST /__sim__/clock"
    )
    parser.add_argument("--users", type=int, default=10, help="customers U1, U2 … (default 10)")
    parser.add_argument("--session", type=date.fromisoformat, action="append", help="a trading day, repeatable (default 2026-11-20)")
    parser.add_argument("--once", action="store_true", help="the clock stops half an hour after the last session's close")
    parser.add_argument("--hold", action="store_true", help="a second a second until POST /__sim__/begin, then by --speed")
    parser.add_argument("--script", type=Path, help="YAML or JSON list of faults, see docs/upstox-venue.md")
    return parser


async def _serve(arguments: argparse.Namespace, script: list[faults.AnyFault]) -> None:
    sessions = tuple(arguments.session or (date(2026, 11, 20),))
    settings = simple(arguments.seed, sessions=sessions, users=arguments.users, speed=arguments.speed)
    settings = msgspec.structs.replace(settings, hold=arguments.hold)
    if arguments.once:
        settings = msgspec.structs.replace(settings, until=datetime.combine(sessions[-1], _END, IST))
    async with UpstoxVenue(settings, script=script, port=arguments.port) as venue:
        sys.stdout.write(msgspec.json.encode(venue.urls).decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _main() -> None:
    parser = _parser()
    arguments = parser.parse_args()
    try:
        script = faults.load(arguments.script) if arguments.script else []
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(arguments, script))
    except (OSError, ValueError) as error:  # the port is taken, the script cannot be read, a date is no trading day
        parser.error(str(error))


if __name__ == "__main__":
    _main()
