"""Checks of the machine and of the running system, each with what to do about it. Nothing is changed, nothing is started."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import psutil

from adapters.embedded.binaries import MONGOD, VALKEY, Wheel, find
from configs.running import DEFAULT_STATES, Running
from runtime.errors import ServerUnavailable

DISK_BYTES_MIN, DISK_BYTES_LOW = 1 << 30, 5 << 30
MEMORY_BYTES_LOW = 1 << 30
CLOCK_SKEW_SECONDS_MAX = 1.0
SECRET_FILES = ("run.json", "ray.token", "vault.key", "valkey/password", "valkey/*.conf", "mongodb/password", "mongodb/key")
"""What must be readable by its owner only, under the state folder."""


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """`fix` says what to do; empty when there is nothing to do."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def check_machine(state: Path) -> Iterator[Check]:
    """Everything that needs no running system."""
    yield _python()
    yield _time_zone()
    yield _disk(state)
    yield _memory()
    yield _embedded(VALKEY)
    yield _embedded(MONGOD)
    yield _ray(state)
    yield _state_folder(state)
    yield from _secret_files(state)


async def check_running(running: Running) -> list[Check]:
    """Whether the servers of a running system answer, and to whom they listen."""
    return [await _redis(running.redis_url), await _mongodb(running.mongodb_url), *_listeners(running)]


def usual_state(state: Path | None) -> Path:
    return state or next((folder for folder in DEFAULT_STATES if folder.exists()), DEFAULT_STATES[0])


def _python() -> Check:
    return Check("python", Verdict.OK, f"Python {sys.version.split()[0]} on {sys.platform}")


def _time_zone() -> Check:
    try:
        offset = datetime(2026, 11, 20, tzinfo=ZoneInfo("Asia/Kolkata")).utcoffset()
    except ZoneInfoNotFoundError:
        return Check("time zones", Verdict.FAIL, "Asia/Kolkata is not known", "install the tzdata package")
    if offset != timedelta(hours=5, minutes=30):
        return Check("time zones", Verdict.FAIL, f"Asia/Kolkata is at {offset}", "the zone data is damaged: reinstall the tzdata package")
    return Check("time zones", Verdict.OK, "Asia/Kolkata is UTC+05:30")


def _disk(state: Path) -> Check:
    existing = next(folder for folder in (state, *state.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / (1 << 30):.1f} GiB free at {existing}"
    if free < DISK_BYTES_MIN:
        return Check("disk", Verdict.FAIL, detail, "free at least 1 GiB: without it the journal cannot be written and no order leaves")
    if free < DISK_BYTES_LOW:
        return Check("disk", Verdict.WARN, detail, "free some: a day of many users takes gigabytes")
    return Check("disk", Verdict.OK, detail)


def _memory() -> Check:
    available = psutil.virtual_memory().available
    detail = f"{available / (1 << 30):.1f} GiB available"
    if available < MEMORY_BYTES_LOW:
        return Check("memory", Verdict.WARN, detail, "Ray, mongod and the actors need about 1 GiB together")
    return Check("memory", Verdict.OK, detail)


def _embedded(wheel: Wheel) -> Check:
    name = f"embedded {wheel.program}"
    if os.environ.get(wheel.url_variable):
        return Check(name, Verdict.OK, f"not needed: {wheel.url_variable} names a server")
    try:
        program = find(wheel)
    except ServerUnavailable as error:
        return Check(name, Verdict.FAIL, "cannot be started", str(error))
    if not os.access(program, os.X_OK):
        return Check(name, Verdict.FAIL, f"{program} is not executable", f"reinstall {wheel.distribution}, or {wheel.alternative}")
    return Check(name, Verdict.OK, f"{wheel.distribution} {version(wheel.distribution)}")


def _ray(state: Path) -> Check:
    try:
        installed = version("ray")
    except PackageNotFoundError:
        return Check("ray", Verdict.FAIL, "is not installed", "run `make setup`")
    mode = os.environ.get("RAY_AUTH_MODE", "token")
    detail = f"Ray {installed}, authentication by {mode}"
    if mode != "token":
        return Check("ray", Verdict.WARN, detail, "unset RAY_AUTH_MODE or set it to token: else whoever reaches a port can run code")
    if os.environ.get("RAY_ADDRESS"):
        return Check("ray", Verdict.OK, f"{detail}; cluster at RAY_ADDRESS")
    return Check("ray", Verdict.OK, detail + ("" if (state / "ray.token").exists() else "; its token is made at the first start"))


def _state_folder(state: Path) -> Check:
    if not state.exists():
        return Check("state folder", Verdict.OK, f"{state} is made at the first start")
    return _mode("state folder", state, allowed=0o700)


def _secret_files(state: Path) -> Iterator[Check]:
    for pattern in SECRET_FILES:
        for file in sorted(state.glob(pattern)):
            yield _mode(f"secret {file.relative_to(state)}", file, allowed=0o600)


def _mode(name: str, path: Path, *, allowed: int) -> Check:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~allowed:
        return Check(name, Verdict.FAIL, f"mode {mode:04o}", f"chmod {allowed:o} {path}")
    if status.st_uid != os.getuid():
        return Check(name, Verdict.WARN, f"belongs to user id {status.st_uid}", "run as its owner, or choose another state folder")
    return Check(name, Verdict.OK, f"mode {mode:04o}")


async def _redis(url: str) -> Check:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    connection = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
    try:
        seconds, microseconds = await connection.time()
    except (RedisError, OSError) as error:
        return Check(
            "redis",
            Verdict.FAIL,
            f"does not answer: {error}",
            "is the runtime up? `shoal up` starts it, `shoal env` shows where it should be",
        )
    finally:
        await connection.aclose()
    skew = abs(datetime.now(UTC).timestamp() - seconds - microseconds / 1e6)
    if skew > CLOCK_SKEW_SECONDS_MAX:
        return Check("redis", Verdict.WARN, f"answers; its clock differs by {skew:.1f} s", "synchronise both clocks by NTP")
    return Check("redis", Verdict.OK, f"answers; its clock differs by {skew * 1000:.0f} ms")


async def _mongodb(url: str) -> Check:
    from actors.commands.shared import DATABASE, PATIENCE_SECONDS
    from adapters.mongo import MongoStore

    try:
        store = MongoStore(url, DATABASE, patience_seconds=PATIENCE_SECONDS)
        active = await store.find("sessions", {"active": True})
        await store.close()
    except ServerUnavailable as error:
        return Check("mongodb", Verdict.FAIL, str(error), "is the runtime up? `shoal up` starts it, `shoal env` shows where it should be")
    return Check("mongodb", Verdict.OK, f"answers; {len(active)} active sessions")


def _listeners(running: Running) -> Iterator[Check]:
    """Ports that processes of this system hold open to more than this machine."""
    if running.pid is None:
        return
    opened = Counter(name for name, address in _listening(running.pid) if not ip_address(address.rpartition(":")[0]).is_loopback)
    if opened:
        programs = ", ".join(f"{name} ({count})" for name, count in sorted(opened.items()))
        fix = "keep them behind a firewall: embedded servers and a local Ray are for this machine only"
        yield Check("ports", Verdict.WARN, f"open to the network: {programs}", fix)
    else:
        yield Check("ports", Verdict.OK, "loopback only")


def _listening(pid: int) -> Iterator[tuple[str, str]]:
    """Program and address of each listening socket of the process and those under it."""
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):  # it may end, or not be ours, while we look
            name = process.name()
            for connection in process.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    yield name, f"{connection.laddr[0]}:{connection.laddr[1]}"
