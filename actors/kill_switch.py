"""Whether the platform is halted, as one host knows it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from runtime.events import HaltTrading, ResumeTrading
from runtime.ports import Store
from runtime.session import OnBreach
from runtime.state import EngineState


class KillSwitch:
    """The supervisor keeps it in the document `platform/halt` and tells every host; a host that was away reads it there."""

    def __init__(self) -> None:
        self._halt: HaltTrading | None = None

    async def read(self, store: Store, now: datetime) -> None:
        halt = await store.get("platform", "halt")
        if halt is None or not halt.get("active"):
            return
        self._halt = HaltTrading(
            ts=now,
            command_id=str(halt["command_id"]),
            reason=str(halt["reason"]),
            positions=OnBreach(halt.get("positions", OnBreach.KEEP)),
        )

    def turn(self, event: HaltTrading | ResumeTrading) -> None:
        self._halt = event if isinstance(event, HaltTrading) else None

    def news_for(self, state: EngineState, now: datetime) -> HaltTrading | ResumeTrading | None:
        """What a trader must learn that was away when the platform was halted or resumed."""
        if self._halt is not None and state.platform_halt is None:
            return msgspec.structs.replace(self._halt, ts=now)
        if self._halt is None and state.platform_halt is not None:
            return ResumeTrading(ts=now, command_id="")
        return None
