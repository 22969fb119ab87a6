"""How Ray is kept to its place; the actors themselves are tested in tests/cluster."""

from __future__ import annotations

import pytest
from loguru import logger

from actors.cluster import _hear_ray


def test_what_ray_tells_a_driver_goes_into_the_log_and_not_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from ray._private import worker

    heard: list[str] = []
    sink = logger.add(heard.append, level="TRACE", format="{message}")
    _hear_ray()
    worker.print_to_stdstream(
        {"lines": ["WARNING: 9 PYTHON worker processes have been started"], "pid": "raylet", "is_err": False}, ignore_prefix=False
    )
    logger.remove(sink)
    assert heard == ["Ray: WARNING: 9 PYTHON worker processes have been started\n"]
    assert "PYTHON worker" not in capfd.readouterr().out
