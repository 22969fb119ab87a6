"""The vault: secrets come back to whom they belong, and to nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from adapters.vault import EncryptedVault, FixedKeys, KeyFile
from runtime.errors import InvalidInput
from runtime.ports import Store

CANARY = "canary-token-3f9c"


async def test_a_secret_comes_back_and_is_nowhere_in_clear(tmp_path: Path) -> None:
    store = MemoryStore()
    keys = KeyFile(tmp_path / "key")
    vault = EncryptedVault(store, keys)
    reference = await vault.put("u1", "upstox", CANARY)
    assert await vault.get(reference) == CANARY
    shown = repr(await store.find("broker_credentials", {})) + reference + repr(vault) + repr(keys) + repr(await vault.entries())
    assert CANARY not in shown


async def test_an_entry_copied_to_another_user_cannot_be_opened(tmp_path: Path) -> None:
    store = MemoryStore()
    vault = EncryptedVault(store, KeyFile(tmp_path / "key"))
    document = await store.get("broker_credentials", await vault.put("u1", "upstox", CANARY))
    assert document is not None
    await store.upsert("broker_credentials", {"u2/upstox": document})
    with pytest.raises(InvalidInput, match="cannot be opened"):
        await vault.get("u2/upstox")


async def test_another_master_key_opens_nothing() -> None:
    store = MemoryStore()
    reference = await EncryptedVault(store, FixedKeys(bytes(32))).put("u1", "upstox", CANARY)
    with pytest.raises(InvalidInput):
        await EncryptedVault(store, FixedKeys(bytes([1] * 32))).get(reference)


def test_the_master_key_is_kept_private_and_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert KeyFile(path).keys() == KeyFile(path).keys()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        KeyFile(path).keys()


async def test_a_new_master_key_opens_what_was_kept_under_the_old_one_and_the_old_one_is_gone(store: Store, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "key")
    (old,) = keys.keys()
    await EncryptedVault(store, keys).put("u1", "upstox", CANARY)
    await EncryptedVault(store, keys).put("u2", "upstox", f"{CANARY}-2")
    secrets_before = [document["secret"] for document in await store.find("broker_credentials", {})]

    keys.begin_rotation()
    assert await EncryptedVault(store, keys).rewrap() == 2
    keys.end_rotation()

    (new,) = keys.keys()
    assert new != old
    vault = EncryptedVault(store, keys)
    assert [await vault.get(entry.reference) for entry in await vault.entries()] == [CANARY, f"{CANARY}-2"]
    assert [document["secret"] for document in await store.find("broker_credentials", {})] == secrets_before
    with pytest.raises(InvalidInput):
        await EncryptedVault(store, FixedKeys(old)).get("u1/upstox")


async def test_a_rotation_that_was_interrupted_is_taken_up_again(tmp_path: Path) -> None:
    store, keys = MemoryStore(), KeyFile(tmp_path / "key")
    await EncryptedVault(store, keys).put("u1", "upstox", CANARY)
    keys.begin_rotation()
    assert await EncryptedVault(store, keys).get("u1/upstox") == CANARY  # nothing is rewrapped yet
    during = keys.keys()
    keys.begin_rotation()
    assert keys.keys() == during
    assert await EncryptedVault(store, keys).rewrap() == 1
    assert await EncryptedVault(store, keys).rewrap() == 0


async def test_a_process_that_was_running_during_a_rotation_finds_the_new_key_by_itself(tmp_path: Path) -> None:
    store, keys = MemoryStore(), KeyFile(tmp_path / "key")
    running = EncryptedVault(store, keys)
    await running.put("u1", "upstox", CANARY)
    keys.begin_rotation()
    await EncryptedVault(store, keys).rewrap()
    keys.end_rotation()
    assert await running.get("u1/upstox") == CANARY


async def test_a_removed_entry_is_gone() -> None:
    vault = EncryptedVault(MemoryStore(), FixedKeys(bytes(32)))
    reference = await vault.put("u1", "upstox", CANARY)
    await vault.remove(reference)
    await vault.remove(reference)
    assert await vault.entries() == []
    with pytest.raises(InvalidInput, match="no such entry"):
        await vault.get(reference)
