"""One packed host in a process of its own: `python -m actors.bench.host STATE DATABASE HOST`. Says `ready` once it serves."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from actors.services import RunSpec, serve_trader_host
from configs.logging import configure_logging


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    state, database, host_id = sys.argv[1:]
    configure_logging(Path(state) / "logs" / f"{host_id}.jsonl")
    # No heartbeats and no mind of its own about silence: every event is the consequence of what is measured.
    spec = RunSpec(state=state, database=database, speed=None, heartbeat=timedelta(days=1))
    asyncio.run(serve_trader_host(spec, host_id, _say_ready))


if __name__ == "__main__":
    main()
