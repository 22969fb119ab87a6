"""Where the running system is: its own file in the state folder, or the environment. How every other program finds it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from runtime.errors import ServerUnavailable

FILE = "run.json"
DATABASE_FOLDER = "mongodb"
"""Where the embedded database keeps its files, in the state folder."""
DEFAULT_STATES = (Path(".shoal"), Path(".shoal/demo"))
"""Looked at in turn when no state folder is named."""
NOT_RUNNING = (
    "nothing is running here: start it with `shoal up` or `shoal demo`, name its folder with --state, or set REDIS_URL and MONGODB_URL"
)


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The servers of a running system. The URLs hold passwords: `repr` leaves them out, and the file is readable by its owner only.

    `pid` is the process that started it, None where the environment names the servers.
    """

    redis_url: str
    mongodb_url: str
    ray_address: str | None = None
    pid: int | None = None
    state: str | None = None
    started_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Running(pid={self.pid}, state={self.state!r}, started_at={self.started_at})"

    @property
    def is_alive(self) -> bool:
        """Whether the process that started it still runs; True where there is none to ask."""
        return self.pid is None or _runs(self.pid)

    def environment(self) -> dict[str, str]:
        """The variables under which this and other programs look for the servers."""
        address = {"RAY_ADDRESS": self.ray_address} if self.ray_address else {}
        return {"REDIS_URL": self.redis_url, "MONGODB_URL": self.mongodb_url} | address


def write_running(state: Path, running: Running) -> Path:
    """Replace `<state>/run.json` in one step, mode 0600."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=state, prefix=FILE)  # created with mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(running)) + b"\n")
    target = state / FILE
    Path(name).replace(target)
    return target


def remove_running(state: Path) -> None:
    """At the end of the process that wrote it. Harmless when it is gone."""
    (state / FILE).unlink(missing_ok=True)


def read_running(state: Path | None = None, environment: Mapping[str, str] = os.environ) -> Running:
    """The running system: REDIS_URL, MONGODB_URL and RAY_ADDRESS win; else `state`, else SHOAL_STATE, else the usual folders.

    Raises:
        ServerUnavailable: nothing runs there, or the file cannot be read; says what to do.
    """
    redis_url, mongodb_url, ray_address = (environment.get(name) for name in ("REDIS_URL", "MONGODB_URL", "RAY_ADDRESS"))
    if redis_url and mongodb_url:
        return Running(redis_url=redis_url, mongodb_url=mongodb_url, ray_address=ray_address)
    found = find_state(state, environment)
    if found is None:
        raise ServerUnavailable(NOT_RUNNING)
    running = _read(found / FILE)
    if not running.is_alive:
        raise ServerUnavailable(f"{found / FILE} is left from process {running.pid}, which is gone; {NOT_RUNNING}")
    return msgspec.structs.replace(
        running,
        redis_url=redis_url or running.redis_url,
        mongodb_url=mongodb_url or running.mongodb_url,
        ray_address=ray_address or running.ray_address,
    )


def find_state(state: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The state folder meant: the one named, else of the usual ones the one that is alive, else the newest; None if there is none."""
    named = state or (Path(environment["SHOAL_STATE"]) if environment.get("SHOAL_STATE") else None)
    if named is not None:
        return named if (named / FILE).exists() else None
    candidates = [folder for folder in DEFAULT_STATES if (folder / FILE).exists()]
    alive = [folder for folder in candidates if _read(folder / FILE).is_alive]
    return next(iter(alive), None) or max(candidates, key=lambda folder: (folder / FILE).stat().st_mtime, default=None)


def find_data(state: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The state folder meant, running or not, if it holds a database; None if there is none."""
    named = state or (Path(environment["SHOAL_STATE"]) if environment.get("SHOAL_STATE") else None)
    candidates = (named,) if named is not None else DEFAULT_STATES
    return next((folder for folder in candidates if (folder / DATABASE_FOLDER).is_dir()), None)


def _read(file: Path) -> Running:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError) as error:
        raise ServerUnavailable(f"{file} cannot be read: {error}; delete it if nothing runs there") from error


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
