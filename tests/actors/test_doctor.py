from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.doctor import Check, Verdict, check_machine, check_running
from adapters.embedded import EmbeddedServers
from configs.running import Running


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def open_port() -> Iterator[None]:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        yield


def test_a_machine_that_runs_these_tests_is_in_order(tmp_path: Path) -> None:
    checks = by_name(list(check_machine(tmp_path / "new")))

    assert {name for name, check in checks.items() if check.verdict is Verdict.FAIL} == set()
    assert {"python", "time zones", "disk", "memory", "embedded valkey-server", "embedded mongod", "ray", "state folder"} == checks.keys()


def test_whatever_is_not_ok_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    checks = list(check_machine(tmp_path))
    assert by_name(checks)["state folder"].fix == f"chmod 700 {tmp_path}"
    assert all(check.fix for check in checks if check.verdict is not Verdict.OK)


def test_a_named_server_makes_the_embedded_one_unnecessary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    assert by_name(list(check_machine(tmp_path)))["embedded valkey-server"].detail == "not needed: REDIS_URL names a server"


def test_ray_without_authentication_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert by_name(list(check_machine(tmp_path)))["ray"].verdict is Verdict.WARN


async def test_servers_that_answer_are_ok_and_a_port_open_to_the_network_is_not(servers: EmbeddedServers, open_port: None) -> None:
    running = Running(redis_url=servers.urls.redis, mongodb_url=servers.urls.mongodb, pid=os.getpid())

    checks = by_name(await check_running(running))

    assert (checks["redis"].verdict, checks["mongodb"].verdict, checks["ports"].verdict) == (Verdict.OK, Verdict.OK, Verdict.WARN)
    assert f"{psutil.Process().name()} (" in checks["ports"].detail


async def test_the_embedded_servers_listen_on_loopback_only(servers: EmbeddedServers) -> None:
    for pid in servers.pids.values():
        [ports] = [
            check
            for check in await check_running(Running(redis_url=servers.urls.redis, mongodb_url=servers.urls.mongodb, pid=pid))
            if check.name == "ports"
        ]
        assert ports.verdict is Verdict.OK, ports.detail


async def test_a_server_that_does_not_answer_fails_without_its_password_being_shown(servers: EmbeddedServers) -> None:
    running = Running(redis_url="redis://:s3cret@127.0.0.1:1/0", mongodb_url=servers.urls.mongodb)

    checks = by_name(await check_running(running))

    assert checks["redis"].verdict is Verdict.FAIL
    assert "s3cret" not in repr(checks)
