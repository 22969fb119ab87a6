"""The log that takes the journal's place: what it has taken is there after any death, what it has not taken leaves no trace."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.local_log import LocalLog, read_frames
from runtime.errors import DiskUnavailable
from runtime.events import JournalRecord
from tests.builders import at

HOST = "packed-0"


def record(number: int, *, text: str = "{}") -> JournalRecord:
    return JournalRecord(user_id="u1", number=number, epoch=3, ts=at("10:00:00.123456"), input=text, events=(text,), last_seq=number)


def file_of(folder: Path) -> Path:
    (path,) = folder.glob("*.log")
    return path


def numbers(log: LocalLog) -> list[int]:
    return [each.number for batch in log.read() for each in batch]


@given(st.lists(st.lists(st.text(), min_size=1, max_size=4), max_size=6))
def test_batches_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]]) -> None:
    log = LocalLog(tmp_path_factory.mktemp("log"), HOST)
    batches = [[record(number, text=text) for number, text in enumerate(batch)] for batch in texts]
    for batch in batches:
        log.append(batch)
    assert list(log.read()) == batches
    assert log.is_empty == (not batches)
    log.clear()


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-100], lambda data: data[:-5] + b"x" + data[-4:]])
def test_a_frame_that_a_death_has_cut_short_ends_the_log(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    log = LocalLog(tmp_path, HOST)
    for number in (1, 2, 3):
        log.append([record(number)])
    path = file_of(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    assert [each.number for batch in read_frames(path) for each in batch] == [1, 2]


def test_a_log_in_use_is_nobody_elses_and_one_left_behind_is_the_next_ones(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, HOST)
    log.append([record(1)])
    assert list(LocalLog(tmp_path, "packed-1").left_behind()) == []

    script = f"""
from pathlib import Path
from adapters.local_log import LocalLog
from tests.adapters.test_local_log import record
LocalLog(Path({str(tmp_path)!r}), "packed-7").append([record(5), record(6)])
import os; os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    (left,) = LocalLog(tmp_path, "packed-1").left_behind()
    assert numbers(left) == [5, 6]
    assert list(LocalLog(tmp_path, "packed-2").left_behind()) == []  # it has been taken up
    left.clear()
    assert numbers(log) == [1]


def test_a_log_that_is_set_aside_is_kept_and_read_no_more(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, HOST)
    log.append([record(1)])
    aside = log.set_aside()
    assert aside is not None
    assert [each.number for batch in read_frames(aside) for each in batch] == [1]
    assert log.is_empty
    assert list(LocalLog(tmp_path, HOST).left_behind()) == []


def test_beyond_its_bound_it_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    log = LocalLog(tmp_path, HOST, bytes_max=1_000)
    log.append([record(1)])
    with pytest.raises(DiskUnavailable, match="has reached its 1000 bytes"):
        log.append([record(2, text="x" * 1_000)])
    log.append([record(3)])
    assert numbers(log) == [1, 3]


def test_a_full_disk_leaves_no_half_a_record(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow: as on a full disk, a write is cut short and the next one fails."""
    script = f"""
import resource
from pathlib import Path
from adapters.local_log import LocalLog
from runtime.errors import DiskUnavailable
from tests.adapters.test_local_log import record
log = LocalLog(Path({str(tmp_path)!r}), "packed-0")
log.append([record(1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
try:
    log.append([record(2, text="x" * 3_000)])
except DiskUnavailable as error:
    print(error)
log.append([record(3)])
print([each.number for batch in log.read() for each in batch])
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == [f"the log in {tmp_path} cannot be written: File too large", "[1, 3]"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
