"""Journal records on this machine's disk, for the time that their store is away.

A file per process, `<host>-<random>.log`, holds frames of a length, a checksum (CRC-32) and a batch of records as
JSON. A frame is on the disk (fsync) when `append` returns; one that a death has cut short was never acted on, and
ends the file for whoever reads it. The process that writes a file holds its lock (flock), which the kernel frees with it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from loguru import logger

from runtime.errors import DiskUnavailable
from runtime.events import JournalRecord

BYTES_MAX = 256 << 20
"""About 500,000 records: of a host of 5,000 traders, all of them stopped out ten times over."""
REFUSED = ".refused"

_HEAD = struct.Struct("<II")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[JournalRecord]).decode


class LocalLog:
    """The log of one process of `host_id`; its file is there from the first `append` to `clear`. Not for several threads."""

    def __init__(self, folder: Path, host_id: str, *, bytes_max: int = BYTES_MAX) -> None:
        self._folder, self._host_id, self._bytes_max = folder, host_id, bytes_max
        self._path: Path | None = None
        self._descriptor = -1
        self._size = 0

    @property
    def is_empty(self) -> bool:
        return self._size == 0

    def append(self, records: Sequence[JournalRecord]) -> None:
        """On the disk on return.

        Raises:
            DiskUnavailable: not one of these records is kept; what was appended before is.
        """
        payload = _encode(records)
        frame = _HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        if self._size + len(frame) > self._bytes_max:
            raise DiskUnavailable(f"the log in {self._folder} has reached its {self._bytes_max} bytes")
        try:
            if self._path is None:
                self._open()
            _write_all(self._descriptor, frame)
            os.fsync(self._descriptor)
        except OSError as error:
            self._take_back()
            raise DiskUnavailable(f"the log in {self._folder} cannot be written: {error.strerror}") from error
        self._size += len(frame)

    def read(self) -> Iterator[list[JournalRecord]]:
        """The batches kept so far, oldest first."""
        return iter(()) if self._path is None else read_frames(self._path)

    def clear(self) -> None:
        """All of it is in the store."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._forget()

    def set_aside(self) -> Path | None:
        """Keep it out of everybody's way, for people to look at; returns where it is."""
        if self._path is None:
            return None
        aside = self._path.rename(self._path.with_suffix(REFUSED))
        self._forget()
        return aside

    def left_behind(self) -> Iterator[LocalLog]:
        """Logs in the folder whose writers are dead, each locked for whoever goes on with it."""
        for path in sorted(self._folder.glob("*.log")):
            with suppress(OSError):  # another process is quicker
                descriptor = os.open(path, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(descriptor)
                    continue
                if not path.exists():  # taken up and cleared between the two
                    os.close(descriptor)
                    continue
                log = LocalLog(self._folder, path.stem, bytes_max=self._bytes_max)
                log._path, log._descriptor, log._size = path, descriptor, path.stat().st_size
                yield log

    def _open(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{self._host_id}-{secrets.token_hex(4)}.log"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._path = path
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name as well
        finally:
            os.close(folder)

    def _take_back(self) -> None:
        """A frame that is only partly there must not stand before the next one."""
        if self._path is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)

    def _forget(self) -> None:
        os.close(self._descriptor)
        self._path, self._descriptor, self._size = None, -1, 0


def read_frames(path: Path) -> Iterator[list[JournalRecord]]:
    """The batches of one file, up to the first that is cut short or damaged."""
    data = path.read_bytes()
    position = 0
    while position + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, position)
        payload = data[position + _HEAD.size : position + _HEAD.size + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            break
        yield _decode(payload)
        position += _HEAD.size + length
    if position < len(data):
        logger.warning("{}: the last {} bytes are no whole frame and were never acted on", path, len(data) - position)


def _write_all(descriptor: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written:])
