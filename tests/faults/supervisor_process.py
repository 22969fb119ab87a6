"""A supervisor in this process, for hosts that run already: `python -m tests.faults.supervisor_process [DIES_AT]`.

It counts its own calls to the servers from the first MIGRATE_USER on, and ends itself with SIGKILL at number DIES_AT (0: never).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from actors.placement import Placement
from actors.services import RunSpec, Servers
from actors.supervisor import Supervisor
from adapters.clock import WallClock
from adapters.vault import EncryptedVault, FixedKeys
from configs.logging import configure_logging
from runtime.commands import Catalogue
from strategies import REGISTRY, create


class Nowhere:
    """Hosts are the test's own."""

    async def ensure(self, placement: Placement) -> None: ...

    async def remove(self, host_id: str) -> None: ...


class Mortal:
    """A port whose user is killed before or after one of its calls."""

    calls: int | None = None
    dies_at = 0

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if not asyncio.iscoroutinefunction(call):
            return call

        async def counted(*arguments: Any, **named: Any) -> Any:
            if name == "insert_once" and arguments[2].get("action") == "MIGRATE_USER" and Mortal.calls is None:
                Mortal.calls = 0
            self._count()
            answer = await call(*arguments, **named)
            self._count()
            return answer

        return counted

    @staticmethod
    def _count() -> None:
        if Mortal.calls is not None:
            Mortal.calls += 1
            if Mortal.calls == Mortal.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)


async def serve() -> None:
    servers = Servers(RunSpec(state=str(Path.cwd())))
    supervisor = Supervisor(
        bus=Mortal(servers.bus),  # pyright: ignore[reportArgumentType]
        store=Mortal(servers.store),  # pyright: ignore[reportArgumentType]
        clock=WallClock(),
        placer=Nowhere(),
        catalogue=Catalogue(strategies=frozenset(REGISTRY), create_strategy=create),
        vault=EncryptedVault(servers.store, FixedKeys(bytes(32))),
        packed_hosts=2,
        dedicated_max=0,
    )
    await supervisor.run()


if __name__ == "__main__":
    Mortal.dies_at = int(sys.argv[1])
    configure_logging(level="WARNING")
    asyncio.run(serve())
