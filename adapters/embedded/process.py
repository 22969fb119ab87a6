"""One server process: started, found ready and ended by its pid. A pid file lets the next owner end a leftover."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from adapters.embedded.binaries import Wheel
from runtime.errors import ServerUnavailable

READY_SECONDS_MAX = 60.0  # mongod spends half of it when its former port is held by a program that does not answer
STOP_SECONDS_MAX = 10.0
_POLL_SECONDS = 0.02


class Program(Protocol):
    """How one kind of server is run, with everything it keeps under `folder` (mode 0700)."""

    wheel: Wheel
    folder: Path

    def command(self, port: int) -> Sequence[str]:
        """Write what the server needs; the command line, which names `folder` and holds no secret."""
        ...

    def ready(self, port: int) -> bool:
        """Whether the server answers and is set up; sets it up where that is missing."""
        ...

    def url(self, port: int) -> str: ...


class ServerProcess:
    """`program` on a loopback port that is kept across restarts."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def name(self) -> str:
        return self._program.wheel.program

    @property
    def url(self) -> str:
        return self._program.url(self._port)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """End what a crashed owner left, then start on the port used last time, or on a free one if that is taken.

        Raises:
            ServerUnavailable: it does not run on this machine or did not become ready; the message has its own words.
        """
        self._end_leftover()
        remembered = self._program.folder / "port"
        self._port = usable_port(int(remembered.read_text()) if remembered.exists() else 0)
        write_private(remembered, str(self._port))
        self.restart()

    def restart(self) -> None:
        """Start on the same port with the same data. Raises as `start` does."""
        output = self._program.folder / "output"
        with output.open("wb") as sink:
            try:
                # In a session of its own: the terminal's Ctrl-C reaches only the owner, and the servers end last.
                self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                    self._program.command(self._port),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise self._failure(str(error)) from error
        write_private(self._pid_file, str(self._process.pid))
        answered = wait_until(lambda: self.pid is None or self._program.ready(self._port), READY_SECONDS_MAX)
        if self.pid is None or not answered:
            self.stop()
            raise self._failure(output.read_text(errors="replace").strip()[-400:])

    def stop(self) -> None:
        """SIGTERM, a bounded wait, SIGKILL. Harmless when it is not running."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self._program.folder / "pid"

    def _failure(self, words: str) -> ServerUnavailable:
        wheel, log = self._program.wheel, self._program.folder / "log"
        return ServerUnavailable(f"{wheel.program} did not start: {words or f'see {log}'}; mend that, or {wheel.alternative}")

    def _end_leftover(self) -> None:
        """A pid alone proves nothing, as pids are reused: only a process whose command line names our folder is ended."""
        try:
            leftover = psutil.Process(int(self._pid_file.read_text()))
            if any(str(self._program.folder) in argument for argument in leftover.cmdline()):
                end(leftover)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return


def end(process: psutil.Process) -> None:
    """End a process that need not be our child; back when it is gone."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS_MAX)


def wait_until(condition: Callable[[], bool], seconds_max: float) -> bool:
    """Poll `condition`; whether it became true in time."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def usable_port(wanted: int) -> int:
    """`wanted` if it can be bound on loopback now, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServerUnavailable("no free port on 127.0.0.1")


def private_folder(path: Path) -> Path:
    """`path`, absolute, created if missing, open to its owner only."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path.resolve()


def write_private(path: Path, text: str) -> None:
    """Replace the file atomically, mode 0600 from its first byte on."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def secret(path: Path, make: Callable[[], str]) -> str:
    """The secret kept in `path`, made by `make` the first time."""
    if not path.exists():
        write_private(path, make())
    return path.read_text()
