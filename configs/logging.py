"""loguru as every process of the runtime uses it: stderr for people, a JSON file for programs, secrets in neither."""

from __future__ import annotations

import logging
import os
import re
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from loguru import logger

_FILE_BYTES_MAX = 20_000_000
_FILES_KEPT = 5
_HIDDEN = "***"

_NAME = r"(?<![\w-])(?=[\w-]*(?:token|passw(?:or)?d|secret|api[_-]?key|authorization|credential))[\w-]++"
_QUOTE = r"""(?:\\?["'])"""
# Each begins at the beginning of a word, so that a long text takes time in proportion to its length.
_SECRETS = (
    # user:password@ of a URL
    (re.compile(r"(\b\w+://)[^\s/@\"']*:[^\s/@\"']*@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    # a JSON web token, wherever it stands
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), _HIDDEN),
    # name: "value", name='value' and the same escaped inside JSON; the value ends at the quote that opened it
    (re.compile(rf"({_NAME}{_QUOTE}?\s*[:=]\s*b?)({_QUOTE})((?:(?!\2).)+)(\2)", re.IGNORECASE), rf"\1\2{_HIDDEN}\4"),
    # name=value, name: value
    (re.compile(rf"({_NAME}\s*[:=]\s*)([^\s\"'\\,;&)}}\]]+)", re.IGNORECASE), rf"\1{_HIDDEN}"),
)


def redact(text: str) -> str:
    """`text` without anything that looks like a password, token, key, authorization header or URL credential."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure_logging(file: Path | None = None, *, level: str = "INFO") -> None:
    """Replace all sinks of this process. `file` gets one JSON object per line, mode 0600, rotated at 20 MB.

    Redaction works on the finished line, so it covers message, extra values and exception text alike. Messages of libraries
    that use the standard library's logging come here as well.
    """
    logger.remove()
    logger.add(_write_stderr, level=level, diagnose=False, backtrace=False, colorize=sys.stderr.isatty())
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _RedactedFile(file, maxBytes=_FILE_BYTES_MAX, backupCount=_FILES_KEPT, encoding="utf-8")
        logger.add(handler, level=level, serialize=True, diagnose=False, backtrace=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


def _write_stderr(line: str) -> None:
    sys.stderr.write(redact(line))


class _RedactedFile(RotatingFileHandler):
    """loguru hands the finished line over as the record's message."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(record.getMessage()).rstrip("\n")

    def _open(self) -> IO[str]:  # pyright: ignore[reportIncompatibleMethodOverride] - typeshed names the concrete class
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _ToLoguru(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        known = record.levelname in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
        logger.opt(exception=record.exc_info).log(record.levelname if known else record.levelno, "{}", record.getMessage())
