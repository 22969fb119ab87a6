"""Host processes, and what the system says about processes."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from runtime.errors import ServerUnavailable

HOST_MODULE = "actors.bench.host"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_END_SECONDS_MAX = 30.0
_OURS = ("REDIS_URL", "MONGODB_URL", "RAY_ADDRESS", "SHOAL_STATE")


class HostProcess:
    """Starts at once; `wait` returns when it serves. Ends with `kill`, as abruptly as a process can, or with `end`, which
    leaves it time to write its profile. `module` is run with the state folder, the database and the host's id.
    """

    def __init__(self, state: Path, database: str, host_id: str, profile: Path | None = None, *, module: str = HOST_MODULE) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _OURS}
        command = [sys.executable, "-m", module, str(state), database, host_id, *([str(profile)] if profile else [])]
        self.host_id = host_id
        self._read_end, write_end = os.pipe()
        self._process = subprocess.Popen(command, stdout=write_end, stderr=subprocess.DEVNULL, env=environment)  # noqa: S603 - our own module
        os.close(write_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> None:
        """Raises `ServerUnavailable` when it ended instead."""
        if os.read(self._read_end, 64) != b"ready\n":
            raise ServerUnavailable(f"{self.host_id} ended with code {self._process.wait()} before it served")

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(_END_SECONDS_MAX)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read_end)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def rss_kb(pid: int) -> int:
    """Resident memory, in kB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


def machine() -> dict[str, Any]:
    """Load averages are those of the last 1, 5 and 15 minutes at the end of the run: of others' work as well as of ours."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()
