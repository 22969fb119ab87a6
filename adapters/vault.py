"""Users' broker secrets, encrypted at rest: AES-256-GCM envelopes in the `broker_credentials` collection.

Each secret has a random data key of its own; the master key wraps that data key. User and broker are bound in as
associated data, so that a document copied to another user cannot be opened there.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.errors import InvalidInput
from runtime.ports import Store

KEY_BYTES = 32
NONCE_BYTES = 12
COLLECTION = "broker_credentials"


def load_master_key(path: Path) -> bytes:
    """The key in `path` (mode 0600), made on first use. Raises `InvalidInput` when others may read it or its length is wrong."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(AESGCM.generate_key(bit_length=KEY_BYTES * 8))
    if path.stat().st_mode & 0o077:
        raise InvalidInput("master key", str(path), "must be readable by its owner only: chmod 600")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise InvalidInput("master key", str(path), f"must hold {KEY_BYTES} bytes")
    return key


class EncryptedVault:
    """`runtime.ports.Vault` over any store. A reference is `<user>/<broker>`: it names a secret and is none itself."""

    def __init__(self, store: Store, master_key: bytes) -> None:
        self._store = store
        self._master = AESGCM(master_key)

    def __repr__(self) -> str:
        return "EncryptedVault()"

    async def put(self, user_id: str, broker: str, secret: str) -> str:
        reference = f"{user_id}/{broker}"
        bound = reference.encode()
        data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
        document = {
            "user_id": user_id,
            "broker": broker,
            "wrapped_key": _seal(self._master, data_key, bound),
            "secret": _seal(AESGCM(data_key), secret.encode(), bound),
        }
        await self._store.upsert(COLLECTION, {reference: document})
        return reference

    async def get(self, reference: str) -> str:
        document = await self._store.get(COLLECTION, reference)
        if document is None:
            raise InvalidInput("credentials", reference, "no such entry in the vault: send an access_token with START_TRADING")
        bound = reference.encode()
        try:
            data_key = _open(self._master, str(document["wrapped_key"]), bound)
            return _open(AESGCM(data_key), str(document["secret"]), bound).decode()
        except InvalidTag:
            raise InvalidInput("credentials", reference, "cannot be opened: wrong master key, or the entry was tampered with") from None


def _seal(key: AESGCM, plain: bytes, bound: bytes) -> str:
    nonce = os.urandom(NONCE_BYTES)
    return b64encode(nonce + key.encrypt(nonce, plain, bound)).decode()


def _open(key: AESGCM, sealed: str, bound: bytes) -> bytes:
    data = b64decode(sealed)
    return key.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound)
