"""Canary tokens go in by every way a token can; then everything that can be dumped is searched for them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from pymongo import MongoClient

from actors.system import System
from runtime import channels
from runtime.events import EventType
from tests.cluster.conftest import CLUSTER, Platform
from tests.faults.outside import DOORS, Door, Outside

pytestmark = CLUSTER

CANARY = "canary-3f9d41c07be2"
"""Every token sent here begins with it."""
MAY_REPEAT_IT = {
    "valkey/password": ("run.json", "valkey/valkey.conf"),
    "mongodb/password": ("run.json",),
    "mongodb/key": (),
    "ray.token": (),
}
"""Files of the state folder with a secret of the system's own, and the private files that need it too."""
OWN_SECRETS = tuple(MAY_REPEAT_IT)


@pytest.mark.parametrize("door", DOORS)
def test_an_access_token_is_found_nowhere_but_sealed_in_the_vault(platform: Platform, door: Door) -> None:
    system, outside = platform
    user = _send_tokens(outside, door)
    sealed = [document for collection, document in _documents(system) if collection == "broker_credentials" and document["user_id"] == user]
    assert [document["broker"] for document in sealed] == ["paper"]
    outside.wait(
        lambda: outside.redis.xlen(channels.COMMANDS_STREAM) == 0,
        20,
        lambda: f"these commands being done with: {outside.redis.xrange(channels.COMMANDS_STREAM)}",
    )
    assert {place.partition(" ")[0] for place in _places(system, user)} >= {"document", "key"}  # the search does find things
    assert _places(system, CANARY) == []


@pytest.mark.parametrize("name", OWN_SECRETS)
def test_a_secret_of_the_system_itself_stands_in_its_own_files_only_and_these_are_private(platform: Platform, name: str) -> None:
    system, _ = platform
    secret = (system.state / name).read_text().strip()
    assert len(secret) >= 32
    allowed = {f"file {system.state / file}" for file in (name, *MAY_REPEAT_IT[name])}
    assert set(_places(system, secret)) == allowed
    for file in (name, *MAY_REPEAT_IT[name], "vault.key"):
        assert (system.state / file).stat().st_mode & 0o077 == 0


def test_the_master_key_of_the_vault_stands_in_its_own_file_only(platform: Platform) -> None:
    system, _ = platform
    key = (system.state / "vault.key").read_bytes()
    assert [file.name for file in _files(system) if key in file.read_bytes()] == ["vault.key"]


def _send_tokens(outside: Outside, door: Door) -> str:
    """A session that takes one, a change of it, and messages that are refused while they carry one; returns the user."""
    user, refused_user = f"secret-{door}", f"secret-bad-{door}"
    token = f"{CANARY}-{door}"
    outside.ask("START_TRADING", user, {"access_token": f"{token}-1"}, door=door)
    outside.ask("UPDATE_CONFIG", user, {"access_token": f"{token}-2", "capital": 400_000}, door=door)
    refused: tuple[dict[str, object], ...] = (
        {"access_token": token, "strategy": "moon"},
        {"access_token": [token]},
        {"access_token": {"token": token}},
        {"access_token": token, "credentials": "somebody/paper"},
        {"credentials": {"password": token}},
        {"capital": f"Bearer {token}"},
        {"parameters": {"ema_fast": token}},
        {"strategy": token},
        {"broker": token},
        {"subscriptions": [{"strategy": token}]},
    )
    for data in refused:
        assert outside.ask("START_TRADING", refused_user, data, door=door).type is EventType.COMMAND_REJECTED
    message = json.dumps({"action": token, "command_id": f"odd-{door}", "data": {"access_token": token}}).encode()
    before = len(outside.of("_platform"))
    for payload in (message, message[:-5], token.encode(), message + b" " * 70_000):
        outside.send_raw(payload, door)
    outside.wait(lambda: len(outside.of("_platform")) == before + 4, 10, "four rejections")
    return user


def _places(system: System, secret: str) -> list[str]:
    """Where `secret` stands in clear: documents, keys, files, arguments, environments."""
    needle = secret.encode()
    found = [f"document {collection} {document['_id']}" for collection, document in _documents(system) if secret in repr(document)]
    found += [f"key {name}" for name, value in _keys(system) if needle in value]
    found += [f"file {file}" for file in _files(system) if needle in file.read_bytes()]
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any(secret in argument for argument in process.cmdline()):
                found.append(f"arguments of {process.name()}")
    return found


def _documents(system: System) -> Iterator[tuple[str, dict[str, Any]]]:
    with MongoClient[dict[str, Any]](system.running.mongodb_url) as client:
        database = client[system.spec.database]
        for name in database.list_collection_names():
            yield from ((name, document) for document in database[name].find())


def _keys(system: System) -> Iterator[tuple[str, bytes]]:
    """Every key of Redis with all it holds, as text; and its own log of slow commands."""
    with redis.Redis.from_url(system.running.redis_url, protocol=2) as client:
        read = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"stream": client.xrange,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
        }
        for key in client.scan_iter():
            yield key.decode(), repr(read[client.type(key)](key)).encode()
        yield "SLOWLOG", repr(client.slowlog_get(1_000)).encode()


def _files(system: System) -> list[Path]:
    """Logs and state, Ray's included. Not the servers' own data files: the append-only file repeats what senders wrote
    until Redis rewrites it, and MongoDB's hold the documents that are searched anyway.
    """
    from ray._private import worker  # only here: `actors.cluster` must be the first to import Ray

    data = {system.state / "valkey" / "data", system.state / "mongodb" / "data"}
    ray_logs = Path(worker._global_node.get_logs_dir_path())
    files = [file for folder in (system.state, ray_logs) for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".jsonl" for file in files)
    assert len(files) > 20
    return [file for file in files if not data & set(file.parents)]
