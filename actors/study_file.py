"""What a sweep has found so far, in a file that survives the end of its process: a line of JSON each, appended and flushed to disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.trials import TrialFigures
from runtime.errors import InvalidInput


class TrialKey(NamedTuple):
    """`window` of a walk-forward analysis (0 in a sweep), `rung` of pruning, and the trial's number."""

    window: int
    rung: int
    number: int


class _Head(msgspec.Struct, frozen=True, tag="study"):
    fingerprint: str


class _Line(msgspec.Struct, frozen=True, tag="trial"):
    key: TrialKey
    figures: TrialFigures


_decode = msgspec.json.Decoder(_Head | _Line).decode


class StudyFile:
    """Figures by key. Opening an existing file takes up what is in it; a last line that was torn by a kill is cut off.

    `fingerprint` is of everything that decides what the trials are: a file of another one is refused.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        """Raises `InvalidInput` when the file holds another study, or cannot be used."""
        self.path = path
        self.found: dict[TrialKey, TrialFigures] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
            whole, newline, _ = content.rpartition(b"\n")
            self._read((whole + newline).splitlines(), fingerprint)
            self._file = path.open("ab")
            self._file.truncate(len(whole + newline))
        except OSError as error:
            raise InvalidInput("--study", str(path), f"cannot be used: {error.strerror}") from error
        if not newline:
            self._append([_Head(fingerprint)])

    def add(self, figures: Mapping[TrialKey, TrialFigures]) -> None:
        """On disk when it returns."""
        self._append([_Line(key, found) for key, found in figures.items()])
        self.found.update(figures)

    def close(self) -> None:
        self._file.close()

    def _read(self, lines: list[bytes], fingerprint: str) -> None:
        try:
            for number, line in enumerate(lines):
                read: _Head | _Line = _decode(line)
                match read:
                    case _Head(found):
                        if number or found != fingerprint:
                            raise InvalidInput(
                                "--study",
                                str(self.path),
                                "holds another study (other candles, settings or ranges): name another file, or delete it",
                            )
                    case _Line(key, figures):
                        self.found[key] = figures
        except msgspec.DecodeError as error:
            raise InvalidInput("--study", str(self.path), f"is no study: {error}") from error

    def _append(self, lines: list[_Head | _Line] | list[_Head] | list[_Line]) -> None:
        self._file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())
