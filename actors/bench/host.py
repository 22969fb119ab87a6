"""One packed host in a process of its own: `python -m actors.bench.host STATE DATABASE HOST [PROFILE]`.

Says `ready` once it serves. With PROFILE, the name of a file, it profiles itself from then on, and writes that at SIGTERM.
"""

from __future__ import annotations

import asyncio
import cProfile
import signal
import sys
from datetime import timedelta
from pathlib import Path

from actors.services import RunSpec, serve_trader_host
from configs.logging import configure_logging


def main() -> None:
    state, database, host_id, *profile = sys.argv[1:]
    configure_logging(Path(state) / "logs" / f"{host_id}.jsonl")
    # No heartbeats and no mind of its own about silence: every event is the consequence of what is measured.
    spec = RunSpec(state=state, database=database, speed=None, heartbeat=timedelta(days=1))
    profiler = cProfile.Profile()

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if profile:
            signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit())
            profiler.enable()

    try:
        asyncio.run(serve_trader_host(spec, host_id, ready))
    finally:
        for name in profile:
            profiler.dump_stats(name)


if __name__ == "__main__":
    main()
