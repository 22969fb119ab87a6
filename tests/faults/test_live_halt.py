"""An operator halts while live entries wait for their turn with the broker: none of them leaves. The venue's ledger is the oracle."""

from __future__ import annotations

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from actors.wire import Cry, encode
from runtime import channels
from runtime.events import SquareOff
from runtime.halts import HaltTarget
from tests.faults.live_stage import LiveStage

pytestmark = pytest.mark.slow
MESSAGES_A_SECOND = 8


async def used_up(stage: LiveStage) -> None:
    """The account has sent all that it may in this second: the next order waits."""
    assert stage.host is not None
    account = stage.host.floor.live._accounts["U1"]  # type: ignore[union-attr]
    await account._broker._limiter.acquire(MESSAGES_A_SECOND)  # type: ignore[union-attr]


async def cry(stage: LiveStage) -> None:
    await stage.bus.publish(channels.HALTS, encode(Cry(command_id="halt", target=HaltTarget())))


async def exit_submitted(stage: LiveStage) -> bool:
    return any(event.data["leg"] == "EXIT" for event in await stage.said("ORDER_SUBMITTED"))


async def test_an_entry_that_waits_for_the_order_limit_does_not_leave_after_a_halt() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await used_up(stage)
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("ORDER_SUBMITTED"))
        await cry(stage)
        await stage.until(lambda: stage.said_by_all("ORDER_REJECTED"), play=True)
        assert stage.placed() == []
        [refused] = await stage.said("ORDER_REJECTED")
        assert "called off before it was sent" in str(refused.data)


async def test_an_exit_that_waits_for_the_order_limit_leaves_all_the_same() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        await used_up(stage)
        await stage.command("U1", SquareOff(ts=stage.venue.clock.now, command_id="flat"))
        await stage.until(lambda: exit_submitted(stage))
        await cry(stage)
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert [entry.side for entry in stage.placed()] == ["BUY", "SELL"]
