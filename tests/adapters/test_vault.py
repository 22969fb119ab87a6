from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from adapters.vault import EncryptedVault, load_master_key
from runtime.errors import InvalidInput

CANARY = "canary-token-3f9c"


async def test_a_secret_comes_back_and_is_nowhere_in_clear(tmp_path: Path) -> None:
    store = MemoryStore()
    vault = EncryptedVault(store, load_master_key(tmp_path / "key"))
    reference = await vault.put("u1", "upstox", CANARY)
    assert await vault.get(reference) == CANARY
    assert CANARY not in repr(await store.find("broker_credentials", {})) + reference + repr(vault)


async def test_an_entry_copied_to_another_user_cannot_be_opened(tmp_path: Path) -> None:
    store = MemoryStore()
    vault = EncryptedVault(store, load_master_key(tmp_path / "key"))
    document = await store.get("broker_credentials", await vault.put("u1", "upstox", CANARY))
    assert document is not None
    await store.upsert("broker_credentials", {"u2/upstox": document})
    with pytest.raises(InvalidInput, match="cannot be opened"):
        await vault.get("u2/upstox")


async def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    reference = await EncryptedVault(store, load_master_key(tmp_path / "a")).put("u1", "upstox", CANARY)
    with pytest.raises(InvalidInput):
        await EncryptedVault(store, load_master_key(tmp_path / "b")).get(reference)


def test_the_master_key_is_kept_private_and_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert load_master_key(path) == load_master_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        load_master_key(path)
