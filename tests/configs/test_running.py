from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.running import Running, find_state, read_running, remove_running, write_running
from runtime.errors import ServerUnavailable

MINE = Running(
    redis_url="redis://:s3cret@127.0.0.1:7001/0",
    mongodb_url="mongodb://shoal:s3cret@127.0.0.1:7002/",
    ray_address="127.0.0.1:7003",
    pid=os.getpid(),
    state=".shoal",
    started_at=datetime(2026, 11, 20, tzinfo=UTC),
)


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_written_is_read_back_from_a_file_only_its_owner_can_read(tmp_path: Path) -> None:
    file = write_running(tmp_path / "state", MINE)

    assert read_running(tmp_path / "state", {}) == MINE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == ["run.json"]


def test_passwords_stay_out_of_its_representation() -> None:
    assert "s3cret" not in repr(MINE)


def test_the_environment_wins(tmp_path: Path) -> None:
    write_running(tmp_path, MINE)
    both = {"REDIS_URL": "redis://a", "MONGODB_URL": "mongodb://b"}

    assert read_running(tmp_path / "absent", both) == Running(redis_url="redis://a", mongodb_url="mongodb://b")
    running = read_running(tmp_path, {"REDIS_URL": "redis://a"})
    assert (running.redis_url, running.mongodb_url, running.ray_address) == ("redis://a", MINE.mongodb_url, MINE.ray_address)


def test_the_state_folder_may_come_from_the_environment(tmp_path: Path) -> None:
    write_running(tmp_path, MINE)
    assert read_running(None, {"SHOAL_STATE": str(tmp_path)}) == MINE


def test_of_the_usual_folders_the_one_that_is_alive_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_pid: int) -> None:
    monkeypatch.chdir(tmp_path)
    gone = Running(redis_url="redis://gone", mongodb_url="mongodb://gone", pid=dead_pid)
    assert find_state(None, {}) is None

    write_running(Path(".shoal"), gone)
    assert find_state(None, {}) == Path(".shoal")
    write_running(Path(".shoal/demo"), MINE)
    assert read_running(None, {}) == MINE

    remove_running(Path(".shoal/demo"))
    with pytest.raises(ServerUnavailable, match=f"process {dead_pid}, which is gone"):
        read_running(None, {})


def test_nothing_running_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="shoal up"):
        read_running(tmp_path, {})


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"redis_url": ')
    with pytest.raises(ServerUnavailable, match=r"run\.json cannot be read"):
        read_running(tmp_path, {})


def test_the_exported_variables_are_those_it_is_found_by(tmp_path: Path) -> None:
    again = read_running(tmp_path, MINE.environment())
    assert again.environment() == MINE.environment()
