"""Servers that a test may kill: they stay dead until it starts them again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.embedded.mongod import MongodProgram
from adapters.embedded.process import ServerProcess
from adapters.embedded.valkey import ValkeyProgram


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(MongodProgram(tmp_path / "mongodb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(ValkeyProgram(tmp_path / "valkey"))
    server.start()
    yield server
    server.stop()
