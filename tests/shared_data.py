"""Where recorded market data is found: not part of the repository, so tests that need it skip where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


def shared(path: str) -> Path:
    """A file of the recorded data, from SHOAL_SHARED_DATA or ../shared/data; skips the test when it is not there."""
    root = Path(os.environ.get("SHOAL_SHARED_DATA") or _REPOSITORY.parent / "shared" / "data")
    file = root / path
    if not file.exists():
        pytest.skip(f"recorded data {file} is absent: set SHOAL_SHARED_DATA to the folder that holds it")
    return file
