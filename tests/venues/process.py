"""The venue as a program of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def venue_process(folder: Path, *arguments: str, script: str = "") -> AsyncIterator[dict[str, str]]:
    """`python -m tests.venues.upstox` with this script of faults in YAML; the addresses that it prints."""
    faults = folder / "faults.yaml"
    faults.write_text(script, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.venues.upstox", "--script", str(faults), *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()
