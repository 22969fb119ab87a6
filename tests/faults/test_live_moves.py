"""A user who trades live moves: the old host ends its session with the broker before the new one begins its own."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("upstox_client", reason="the extra `upstox` is not installed")
pytest.importorskip("aiohttp", reason="the venue needs aiohttp")

from actors.wire import ForUser, Release, encode
from runtime import channels
from runtime.events import AcceptCommand, SquareOff
from tests.faults.live_stage import HOST, LiveStage

pytestmark = pytest.mark.slow

USER, NEW = "U1", "packed-1"


class Streams:
    """How many portfolio streams the venue has had open at once, looked at with every connection made."""

    def __init__(self, stage: LiveStage) -> None:
        self._hub = stage.venue.core.portfolio
        self.most = self.begun = 0
        opened = self._hub.open

        def counted(*arguments: object) -> None:
            opened(*arguments)  # type: ignore[arg-type]
            self.begun += 1
            self.most = max(self.most, len(self._hub.connections))

        self._hub.open = counted  # type: ignore[method-assign]

    async def have_begun(self) -> bool:
        return self.begun > 0


async def test_there_are_never_two_sessions_of_an_account_and_the_exit_leaves_once() -> None:
    async with LiveStage() as stage:
        await stage.start_host()
        await stage.start_sessions()
        streams = Streams(stage)
        await stage.signal()
        await stage.until(lambda: stage.said_by_all("POSITION_OPENED"), play=True)
        new = stage.new_host(NEW)
        moving = asyncio.create_task(new.run())
        await new.ready.wait()

        # The steps of `actors.supervisor.moves`.
        await stage.store.upsert("sessions", {USER: {"host": NEW}})
        news = AcceptCommand(ts=stage.venue.clock.now, command_id="move", action="MIGRATE_USER")
        await stage.bus.append(channels.host_inbox(NEW), encode(ForUser(user_id=USER, input=news)), max_length=10)
        await stage.until(lambda: stage.said_by_all("SESSION_RECOVERED"))
        stage.host = new
        account = new.floor.live._accounts[USER]  # type: ignore[union-attr]
        assert not account._armed.is_set()
        assert len(stage.venue.core.portfolio.connections) == 1  # the old one's
        await stage.bus.append(channels.host_inbox(HOST), encode(Release(user_id=USER)), max_length=10)
        await stage.until(lambda: stage.said_by_all("BROKER_UP", or_armed=True))
        await stage.until(streams.have_begun)  # orders may leave a moment before the stream is there

        flat = SquareOff(ts=stage.venue.clock.now, command_id="flat")
        await stage.bus.append(channels.host_inbox(NEW), encode(ForUser(user_id=USER, input=flat)), max_length=10)
        await stage.until(lambda: stage.said_by_all("POSITION_CLOSED"), play=True)
        assert [entry.side for entry in stage.placed()] == ["BUY", "SELL"]
        assert (streams.begun, streams.most) == (1, 1)
        moving.cancel()
        await asyncio.wait([moving])
