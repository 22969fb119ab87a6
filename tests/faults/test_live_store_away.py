"""Live exits while the store cannot say whether this host still has the user: the account itself is asked."""

from __future__ import annotations

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from runtime.errors import ServerUnavailable
from tests.faults.live_stage import LiveStage
from tests.venues.upstox import faults
from tests.venues.upstox.core import closing

pytestmark = pytest.mark.slow


async def holding(stage: LiveStage) -> None:
    await stage.start_host()
    await stage.start_sessions()
    await stage.signal()
    await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
    get = stage.store.get

    async def away(collection: str, key: str) -> object:
        if collection == "sessions":
            raise ServerUnavailable("no answer")
        return await get(collection, key)

    stage.store.get = away


async def test_an_exit_leaves_if_the_account_still_holds_the_position() -> None:
    async with LiveStage() as stage:
        await holding(stage)
        await stage.square_off()
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert len(stage.placed()) == 2
        assert await stage.settled()


async def test_no_exit_leaves_if_another_has_closed_it() -> None:
    async with LiveStage() as stage:
        await holding(stage)
        ((key, quantity),) = stage.venue.ledger.net("U1").items()
        stage.venue.faults.add(faults.ManualOrder(user="U1", order=closing(key, "I", quantity)))
        await stage.square_off()
        await stage.until(lambda: stage.said_by_all("ORDER_REJECTED"), play=True)
        assert len(stage.placed()) == 1
