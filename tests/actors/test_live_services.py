"""Market data's read-only token comes out of the vault, also the next one."""

from __future__ import annotations

import asyncio

from actors.live_services import UpstoxMarket
from adapters.clock import WallClock
from adapters.memory import MemoryStore
from adapters.upstox import AccessToken, UpstoxClient
from adapters.upstox.instruments import InstrumentTable
from adapters.vault import EncryptedVault, FixedKeys
from configs.accounts import UpstoxSettings
from tests.contracts.rig import eventually


async def test_a_refused_market_data_token_is_replaced_by_what_the_operator_puts_into_the_vault() -> None:
    """The one that was refused is tried once more at most, as it is still what the vault holds."""
    vault, settings = EncryptedVault(MemoryStore(), FixedKeys(bytes(32))), UpstoxSettings()
    await vault.put("market-data", "upstox", "yesterday")
    client = UpstoxClient(AccessToken("yesterday"))
    market = UpstoxMarket(client, WallClock(), InstrumentTable(()), vault, settings)
    keeper = asyncio.create_task(market.keep_token())
    tried: list[str] = []

    def refuse_yesterday() -> bool:
        if client.token.is_valid:
            tried.append(client.token.bearer())
            client.token.refused("Bearer yesterday")
        return len(tried) >= 2 and not client.token.is_valid

    await eventually(refuse_yesterday)
    await vault.put("market-data", "upstox", "today")
    await eventually(lambda: client.token.is_valid)
    keeper.cancel()
    assert (tried, client.token.bearer()) == (["Bearer yesterday"] * 2, "Bearer today")
    await client.close()
