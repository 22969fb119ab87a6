"""Boots a whole system on this machine, or joins servers and a cluster that exist, and ends what it started."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
from pydantic import SecretStr

from actors.services import RunSpec, Servers
from adapters.embedded import EmbeddedServers
from configs.running import Running, remove_running, write_running
from configs.settings import Profile, load_settings

if TYPE_CHECKING:
    from actors.cluster import Cluster


class System:
    """Servers, Ray and the shared actors. `REDIS_URL`, `MONGODB_URL` and `RAY_ADDRESS` name existing ones instead.

    Use as a context manager, in the main thread. Everything it started has ended on exit, by process id.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.state = Path(spec.state)
        self.running: Running
        self.cluster: Cluster
        settings = load_settings(Profile(spec.profile))
        self._ray_address = settings.ray_address
        self.servers = EmbeddedServers(self.state, redis_url=_plain(settings.redis_url), mongodb_url=_plain(settings.mongodb_url))

    def __enter__(self) -> Self:
        """Raises `ServerUnavailable` when a server or the cluster cannot be started or reached."""
        try:
            self._start()
        except BaseException:  # also on Ctrl-C: what has been started must not outlive us
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "cluster"):
            self.cluster.stop()
        self.servers.stop()
        remove_running(self.state)

    def _start(self) -> None:
        from actors.cluster import Cluster

        urls = self.servers.start()
        self.running = Running(
            redis_url=urls.redis,
            mongodb_url=urls.mongodb,
            pid=os.getpid(),
            state=str(self.state.resolve()),
            started_at=datetime.now(UTC),
        )
        write_running(self.state, self.running)  # the actors look here for the servers
        asyncio.run(self._prepare())
        self.cluster = Cluster(self.spec, address=self._ray_address)
        address = self.cluster.start()
        self.running = msgspec.structs.replace(self.running, ray_address=address)
        write_running(self.state, self.running)
        self.cluster.start_actors()

    async def _prepare(self) -> None:
        servers = Servers(self.spec)
        await servers.prepare()
        await servers.close()


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
