"""The `shoal` command as a program of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
NOWHERE = {"REDIS_URL": "", "MONGODB_URL": "", "SHOAL_STATE": ""}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def shoal(*arguments: str, folder: Path, told: str = "", **environment: str) -> Ran:
    """`told` comes by standard input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from actors.cli import main; main()",
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=os.environ | NOWHERE | {"PYTHONPATH": str(REPOSITORY)} | environment,
    )
    out, err = await process.communicate(told.encode())
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def shoal_here(*arguments: str, folder: Path, told: str = "", **environment: str) -> Ran:
    """The same without a process of its own: for the many ways of asking wrongly."""
    from actors.cli import main

    out, err, code = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["shoal", *arguments])
        patch.setattr(sys, "stdin", StringIO(told))
        for name, value in (NOWHERE | environment).items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())
