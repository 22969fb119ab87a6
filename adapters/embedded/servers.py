"""Both servers of one state folder, owned by one process at a time."""

from __future__ import annotations

import atexit
import fcntl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self, TextIO

from loguru import logger

from adapters.embedded.mongod import MongodProgram
from adapters.embedded.process import ServerProcess, private_folder
from adapters.embedded.valkey import ValkeyProgram
from runtime.errors import ServerUnavailable

_WATCH_SECONDS = 0.1
_RETRY_SECONDS_MAX = 5.0


class ServerUrls(NamedTuple):
    """Where to connect. They hold passwords: never log them."""

    redis: str
    mongodb: str


class EmbeddedServers:
    """Valkey and mongod on loopback, with passwords, and data under `state` that survives restarts.

    A server whose URL is given is not started. While open, a server that dies is started again on the same port with the
    same data. Use as a context manager, or call `start` and `stop`; `stop` also runs when the interpreter exits.
    """

    def __init__(self, state: Path, *, redis_url: str | None = None, mongodb_url: str | None = None) -> None:
        self._state = state
        self._given = (redis_url, mongodb_url)
        self._servers: list[ServerProcess] = []
        self._lock_file: TextIO | None = None
        self._closing = threading.Event()
        self._watchers: list[threading.Thread] = []

    def start(self) -> ServerUrls:
        """Both servers, started side by side and ready.

        Raises:
            ServerUnavailable: another live process owns `state`, a wheel is missing or does not fit, or a server fails to start.
        """
        redis_url, mongodb_url = self._given
        if redis_url and mongodb_url:
            return ServerUrls(redis_url, mongodb_url)
        state = private_folder(self._state)
        self._lock(state)
        try:
            urls = self._start_missing(state)
        except BaseException:  # also on Ctrl-C: a server that has started must not outlive us
            self.stop()
            raise
        atexit.register(self.stop)
        self._watchers = [threading.Thread(target=self._watch, args=(server,), daemon=True) for server in self._servers]
        for watcher in self._watchers:
            watcher.start()
        return urls

    def stop(self) -> None:
        """End what was started, both at once, and give the state folder free. Harmless when called twice."""
        self._closing.set()
        for watcher in self._watchers:
            watcher.join()
        if self._servers:
            with ThreadPoolExecutor(len(self._servers)) as pool:
                list(pool.map(ServerProcess.stop, self._servers))
            self._servers.clear()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None
        atexit.unregister(self.stop)

    @property
    def pids(self) -> Mapping[str, int | None]:
        """Process ids of the started servers by name; None for one that is down at the moment."""
        return {server.name: server.pid for server in self._servers}

    def __enter__(self) -> Self:
        self.urls = self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _lock(self, state: Path) -> None:
        """The kernel frees the lock when its owner dies, however it dies."""
        file = (state / "owner.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ServerUnavailable(f"another running process owns {state}: stop it, or choose another state folder") from None
        self._lock_file = file

    def _start_missing(self, state: Path) -> ServerUrls:
        redis_url, mongodb_url = self._given
        valkey = None if redis_url else ServerProcess(ValkeyProgram(state / "valkey"))
        mongod = None if mongodb_url else ServerProcess(MongodProgram(state / "mongodb"))
        self._servers = [server for server in (valkey, mongod) if server]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ServerProcess.start, self._servers))
        return ServerUrls(redis=valkey.url if valkey else redis_url or "", mongodb=mongod.url if mongod else mongodb_url or "")

    def _watch(self, server: ServerProcess) -> None:
        """Restart it when it dies; if it fails to come back, try again ever more slowly, at last every 5 s."""
        pause = _WATCH_SECONDS
        while not self._closing.wait(pause):
            if server.pid is not None:
                pause = _WATCH_SECONDS
                continue
            logger.warning("embedded {} died; starting it again", server.name)
            try:
                server.restart()
            except ServerUnavailable as error:
                pause = min(2 * pause, _RETRY_SECONDS_MAX)
                logger.error("{}", error)
