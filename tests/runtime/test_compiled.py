"""Compiled twins are kept on disk for the next process, and never mistaken for those of other code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INNER = """
from runtime.compiled import kernel

@kernel
def added(value: float) -> float:
    return value + {added}
"""
OUTER = """
from inner import added
from runtime.compiled import compiled, kernel

SCALE = 2.0

@kernel
def step(value: float) -> float:
    return value

@kernel
def doubled(value: float) -> float:
    return value * 2.0

@kernel
def loop(value: float) -> float:
    return added(step(value)) * SCALE

plain, bound = compiled(loop), compiled(loop, step=doubled)
print(plain(10.0), bound(10.0), *(sum(twin.stats.cache_hits.values()) for twin in (plain, bound)))
"""


class Folder:
    """Two modules of kernels, and the folder for their machine code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "outer.py").write_text(OUTER)
        self.write_inner(1.0)

    def write_inner(self, added: float) -> None:
        (self.path / "inner.py").write_text(INNER.format(added=added))

    def run(self, cache: Path) -> list[float]:
        """In a process of its own: both results, and how many of each twin's machine code came from disk."""
        environment = os.environ | {
            "NUMBA_CACHE_DIR": str(cache),
            "XDG_CACHE_HOME": str(cache),
            "PYTHONPATH": f"{ROOT}:{self.path}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, str(self.path / "outer.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return [float(number) for number in done.stdout.split()]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_next_process_finds_the_machine_code_of_the_one_before(folder: Folder, tmp_path: Path) -> None:
    assert folder.run(tmp_path / "cache") == [22.0, 42.0, 0, 0]  # (10 + 1) × 2 and (20 + 1) × 2, compiled
    assert folder.run(tmp_path / "cache") == [22.0, 42.0, 1, 1]


def test_a_change_in_a_kernel_of_another_module_is_never_missed(folder: Folder, tmp_path: Path) -> None:
    folder.run(tmp_path / "cache")
    folder.write_inner(2.0)
    assert folder.run(tmp_path / "cache") == [24.0, 44.0, 0, 0]


def test_without_a_folder_to_write_to_every_process_compiles_for_itself(folder: Folder, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    (tmp_path / "__pycache__").write_text("not a folder either")
    assert [folder.run(blocked / "cache") for _ in range(2)] == [[22.0, 42.0, 0, 0]] * 2
