"""Users' broker secrets, encrypted at rest: AES-256-GCM envelopes in the `broker_credentials` collection.

Each secret has a random data key of its own; the master key wraps that data key. User and broker are bound in as
associated data, so that a document copied to another user cannot be opened there.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.errors import InvalidInput
from runtime.ports import CredentialEntry, Store

KEY_BYTES = 32
NONCE_BYTES = 12
COLLECTION = "broker_credentials"


class KeyFile:
    """The master key in a file (mode 0600), made on first use, and its predecessor beside it while a rotation is under way.

    Raises `InvalidInput` when others may read a key or its length is wrong.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._previous = path.with_name(f"{path.name}.previous")

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"

    def keys(self) -> list[bytes]:
        """The current one first."""
        if not self._path.exists():
            _write_new(self._path)
        return [_read(path) for path in (self._path, self._previous) if path.exists()]

    def begin_rotation(self) -> None:
        """A new current key; entries under the old one can still be opened. Harmless when a rotation is under way already."""
        self.keys()
        if self._previous.exists() and self._previous.read_bytes() != self._path.read_bytes():
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        _write_new(fresh)
        if not self._previous.exists():
            os.link(self._path, self._previous)
        fresh.replace(self._path)

    def end_rotation(self) -> None:
        """Forget the old key: no entry is under it any more."""
        self._previous.unlink(missing_ok=True)


class FixedKeys:
    """Keys held in memory, the current one first: for tests and for whoever brings keys of his own."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = list(keys)

    def __repr__(self) -> str:
        return "FixedKeys()"

    def keys(self) -> list[bytes]:
        return self._keys


class EncryptedVault:
    """`runtime.ports.Vault` over any store. A reference is `<user>/<broker>`: it names a secret and is none itself.

    A process that runs while the master key is rotated reads the key file again when it meets an entry under a new key.
    """

    def __init__(self, store: Store, keys: KeyFile | FixedKeys) -> None:
        self._store, self._keys = store, keys
        self._masters: dict[str, AESGCM] = {}
        self._current = ""
        self._read_keys()

    def __repr__(self) -> str:
        return "EncryptedVault()"

    async def put(self, user_id: str, broker: str, secret: str) -> str:
        reference = f"{user_id}/{broker}"
        bound = reference.encode()
        self._read_keys()
        data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
        document = {
            "user_id": user_id,
            "broker": broker,
            "key_id": self._current,
            "wrapped_key": _seal(self._masters[self._current], data_key, bound),
            "secret": _seal(AESGCM(data_key), secret.encode(), bound),
            "updated_at": datetime.now(UTC),
        }
        await self._store.upsert(COLLECTION, {reference: document})
        return reference

    async def get(self, reference: str) -> str:
        document = await self._store.get(COLLECTION, reference)
        if document is None:
            raise InvalidInput("credentials", reference, "no such entry in the vault: send an access_token, or `shoal credentials add`")
        bound = reference.encode()
        try:
            data_key = self._unwrap(document, bound)
            return _open(AESGCM(data_key), str(document["secret"]), bound).decode()
        except InvalidTag:
            raise InvalidInput("credentials", reference, "cannot be opened: wrong master key, or the entry was tampered with") from None

    async def remove(self, reference: str) -> None:
        await self._store.delete(COLLECTION, reference)

    async def entries(self) -> list[CredentialEntry]:
        found = await self._store.find(COLLECTION, {}, sort="_id")
        return [
            CredentialEntry(
                reference=str(document["_id"]),
                user_id=str(document["user_id"]),
                broker=str(document["broker"]),
                key_id=str(document.get("key_id", "")),
                updated_at=document.get("updated_at"),
            )
            for document in found
        ]

    async def rewrap(self) -> int:
        """Put every entry under the current master key, secrets untouched; returns how many were under another. May be repeated.

        Raises:
            InvalidInput: an entry cannot be opened with any key at hand; those before it are done.
        """
        self._read_keys()
        count = 0
        for document in await self._store.find(COLLECTION, {"key_id": {"$ne": self._current}}):
            reference = str(document["_id"])
            bound = reference.encode()
            try:
                data_key = self._unwrap(document, bound)
            except InvalidTag:
                raise InvalidInput("credentials", reference, "cannot be opened with the old or the new master key") from None
            wrapped = _seal(self._masters[self._current], data_key, bound)
            await self._store.upsert(COLLECTION, {reference: {"wrapped_key": wrapped, "key_id": self._current}})
            count += 1
        return count

    def _unwrap(self, document: Mapping[str, Any], bound: bytes) -> bytes:
        key_id = str(document.get("key_id", ""))
        if key_id not in self._masters:
            self._read_keys()
        candidates = [self._masters[key_id]] if key_id in self._masters else list(self._masters.values())
        for master in candidates[:-1]:
            try:
                return _open(master, str(document["wrapped_key"]), bound)
            except InvalidTag:
                continue
        return _open(candidates[-1], str(document["wrapped_key"]), bound)

    def _read_keys(self) -> None:
        keys = self._keys.keys()
        self._masters = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])


def _key_id(key: bytes) -> str:
    """Names a master key without telling anything of it."""
    return hashlib.blake2s(key, digest_size=6, person=b"key-id").hexdigest()


def _write_new(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process has just made it
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(AESGCM.generate_key(bit_length=KEY_BYTES * 8))


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise InvalidInput("master key", str(path), "must be readable by its owner only: chmod 600")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise InvalidInput("master key", str(path), f"must hold {KEY_BYTES} bytes")
    return key


def _seal(key: AESGCM, plain: bytes, bound: bytes) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return b64encode(nonce + key.encrypt(nonce, plain, bound)).decode()


def _open(key: AESGCM, sealed: str, bound: bytes) -> bytes:
    data = b64decode(sealed)
    return key.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound)
