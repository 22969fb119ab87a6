"""One trader host in this process, as a cluster would run it: `python -m tests.faults.host_process FOLDER HOST`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.services import RunSpec, serve_trader_host
from configs.logging import configure_logging


def main() -> None:
    state, host_id = Path(sys.argv[1]), sys.argv[2]
    configure_logging(level="INFO")
    spec = RunSpec(state=str(state), ledger=str(state / "ledger"))
    asyncio.run(serve_trader_host(spec, host_id, lambda: None))


if __name__ == "__main__":
    main()
